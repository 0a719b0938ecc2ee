"""What the APIs keep between requests: turns, conversations and batches, in SQLite or PostgreSQL.

Nothing here imports SQLAlchemy but `database.py` and what it brings: a proxy that stores nothing pays nothing.
"""
