"""Breakdown of a request's tokens by its parts, as differences of counts."""
