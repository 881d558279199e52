"""The store, written by one process at a time.

access          the store opened for writing, its lock, transactions and checkpoints
waiting         waits for other processes
memory_limit    how much memory DuckDB may take
sequence        the order in which runs were loaded
dataset_tables  a dataset in the store's tables
vector_tables   vector files, and which of their rows count
run_tables      a run in the store's tables
inserts         single rows
"""
