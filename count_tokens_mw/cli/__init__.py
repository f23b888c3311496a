"""The commands of `python -m count_tokens_mw`."""
