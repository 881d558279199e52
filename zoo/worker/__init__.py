"""The one program that runs inside every family's environment, in a container or beside it.

    python -P -m zoo.worker JOB OUT --family FOLDER
        [--weights FOLDER] [--shared] [--tied] [--device NAME]

It reads a job folder (`job.json`, `systems.parquet`), gives the systems to the family's encoder in
batches, and writes shards (`shard-00000.parquet`, …) and at the end `run.json`. It needs the
standard library, numpy and pyarrow alone; the family's own code brings the rest.

Its modules import only those before them: errors, sealed, tables, job, applicability, pooling,
events, shards, signals, batching, device, loading, run.
"""
