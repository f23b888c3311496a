"""One HTTP request: its route, its body, its answer."""
