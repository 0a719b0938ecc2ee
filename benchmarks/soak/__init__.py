"""`python -m benchmarks.soak` (`make soak`): mixed load with faults and a restart, after which nothing may be lost,
mixed up or left open; then very many streams at once.
"""
