"""The SQL prompt.

`prompt` talks to the user, `commands` answers .help, .tables and so on, `completion` completes
names, and `catalog` asks DuckDB what there is.
"""
