"""Serve a store: a page with a SQL prompt, over HTTP, read-only.

Statements run in processes of their own (`reader.py`), which are ended when a statement takes too
long (`pool.py`); `app.py` has the addresses, and `server.py` listens.
"""
