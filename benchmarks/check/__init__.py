"""The guard against regressions that a noisy machine can't fool: `python -m benchmarks.check` (`make bench-check`).

The proxy runs under valgrind, which counts the instructions of each request and line. They are compared to
`baseline.json`. Where they cannot be, CPU time is, as a multiple of a fixed loop's in the same run.
"""
