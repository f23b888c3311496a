"""OpenAI's counting API, and the translation to its format."""
