"""The one program that runs inside every family's environment, in a container or beside it.

    python -P -m zoo.worker JOB OUT --family FOLDER
        [--weights FOLDER] [--shared] [--tied] [--device NAME]
    python -P -m zoo.worker --family FOLDER [--device NAME]

It reads a job folder (`job.json`, `systems.parquet`), gives the systems to the family's encoder in
batches, and writes shards (`shard-00000.parquet`, …), from which a killed run continues. At the end
it merges them into vector files (`vectors-00000.parquet`, …) and `outcomes.parquet`, writes
`run.json`, and removes the shards. Without a job on its command line it does the jobs that standard
input gives, one JSON object per line (`zoo.worker.events.Assignment`), one after another; the first
that fails ends it. It needs the standard library, numpy and pyarrow alone; the family's own code
brings the rest.

Its modules import only those before them: errors, sealed, tables, job, applicability, pooling,
events, shards, vector_files, merge, signals, batching, device, loading, run.
"""
