"""Real servers with Anthropic's counting API, and their answers, recorded for the tests."""
