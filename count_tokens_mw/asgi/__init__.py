"""The ASGI side: the route, the body and the answer of one HTTP request."""
