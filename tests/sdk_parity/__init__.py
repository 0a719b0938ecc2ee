"""The official SDK (npm, MIT) as the oracle: our request equals its request, and it understands our simulator."""
