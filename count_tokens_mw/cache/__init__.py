"""Caches of counts: in this process, and in a Redis that processes share."""
