"""Client APIs. Each folder parses requests into the core language and renders replies from it; all of it is pure."""
