"""What registers the functions of SQL in DuckDB, and runs and shows statements."""
