"""The host's own callables: who asks, what they may, and what will really be sent."""
