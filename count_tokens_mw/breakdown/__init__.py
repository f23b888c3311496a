"""The tokens of a request by its parts, as differences of counts."""
