"""A JSON object that keeps its own text."""
