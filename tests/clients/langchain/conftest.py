"""`suite/` is run by `test_langchain.py`, in an environment of its own."""

collect_ignore = ["suite"]
