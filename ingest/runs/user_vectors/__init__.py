"""A user's file of vectors.

reading      the formats: Parquet, npz and CSV
row_checks   rows that cannot be stored
precision    what float32 leaves of the vectors
"""
