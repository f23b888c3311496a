"""Clients that others publish, run against the gateway; not part of `make test`."""
