"""What datasets share; see `ingest.sources`."""
