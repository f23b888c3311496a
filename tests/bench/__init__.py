"""The benchmark of count_tokens_mw against bare servers and LiteLLM's proxy: `make bench`."""
