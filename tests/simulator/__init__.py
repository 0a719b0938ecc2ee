"""The simulator, from the outside: what it refuses, what it answers, and how its connections end."""
