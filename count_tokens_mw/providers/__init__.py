"""Clients of the providers' counting APIs. A provider's module is imported on first use."""
