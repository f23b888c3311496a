"""How fast we are, beside what others are and what is possible here: `make bench`."""
