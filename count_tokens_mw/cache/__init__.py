"""What was counted before: in this process, and in a Redis that processes share."""
