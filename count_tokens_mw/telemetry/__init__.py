"""Ready-made hooks, each in a module of its own, which alone imports its library."""
