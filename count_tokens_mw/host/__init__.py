"""The host's own callables: authentication, authorisation, transform and resolution."""
