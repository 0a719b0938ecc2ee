"""What is remembered of an exchange."""
