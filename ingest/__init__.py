"""From a dataset and a model to vectors in the store: datasets, systems, plan, runtimes, shards, load."""

from schemas.interrupt import quiet_start

quiet_start()
