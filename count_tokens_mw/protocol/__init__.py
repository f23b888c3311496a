"""Anthropic's HTTP contract, as pure functions."""
