"""The vectors of finished runs, which lie in Parquet files of their own.

places      where the vectors of new runs go
upload      vector files in an object store
files       which files a run has, where they are, and how they get there
conversion  vector files out of the shards of runs that earlier versions made
"""
