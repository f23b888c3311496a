"""A count without HTTP: failover among deployments within one deadline."""
