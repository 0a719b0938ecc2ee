"""The Augment backend: its wire format, its models, its credentials, the connection to it, and how a turn is tried."""
