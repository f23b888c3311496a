"""Anthropic's Messages format as it is read for a translation to another vendor's format."""
