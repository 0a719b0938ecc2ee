"""The shared language: conversations, reply events, whole replies and errors. It imports nothing of ours."""
