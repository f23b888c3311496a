"""One count without HTTP: deployments in turn, within one deadline."""
