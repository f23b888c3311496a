"""Ready-made hooks, each in a module of its own, the only importer of its library."""
