"""The commands of `count-tokens-mw`."""
