"""What the proxy costs, and how that compares to nginx passing the same bytes through: `python -m benchmarks`.

`model` has the words, `scenarios` the loads, `servers` starts what is measured, `rounds` measures, `report` prints.
`backend` and `driver` are programs of their own, so that neither their CPU time nor their waits count.
"""
