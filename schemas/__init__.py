"""The store's tables in plain SQL, and how a store is opened.

Modules import only those before them: message, paths, errors, migrations, vectors, store.
"""
