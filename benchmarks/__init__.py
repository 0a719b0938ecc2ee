"""What the proxy costs, and how that compares to nginx passing the same bytes through: `python -m benchmarks`.

`model` has the words, `scenarios` the loads whose CPU time is measured (`cpu`); `ttft`, `hold`, `gap`, `startup`,
`stored`, `linear` and `endurance` measure in ways of their own. `servers` starts what is measured, `report` and `page`
tell. `backend` and `driver` are programs of their own, so that neither their CPU time nor their waits count.
"""
