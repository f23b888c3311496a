"""The error of all judges."""

__all__ = ["Refused"]


class Refused(AssertionError):
    """An error for a body that Google would answer with 400; the message has place and reason."""
