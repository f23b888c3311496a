"""Policy for requests in Anthropic's format: fields and betas, by upstream."""
