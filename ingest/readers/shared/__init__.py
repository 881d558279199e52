"""What formats share; see `ingest.readers`."""
