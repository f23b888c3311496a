"""The `litellm_params` of each vendor as frozen models."""
