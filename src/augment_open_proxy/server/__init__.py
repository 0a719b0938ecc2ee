"""The HTTP server: routes, the guard, and the pipeline from a request to its reply."""
