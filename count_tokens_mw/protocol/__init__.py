"""Anthropic's HTTP contract, pure."""
