"""The providers' counting APIs. A module is imported when a deployment first needs it."""
