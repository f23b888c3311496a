"""A small gateway of its own that takes us in, to try and to copy: `python -m demo_app`."""
