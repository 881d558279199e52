"""A user's file of vectors.

reading      a file of any format becomes a table
columns      which columns or arrays hold the ids and the vectors
arrays       NumPy's files
tables       CSV
ids          ids from another file, or by the order of the dataset
row_checks   rows that cannot be stored
precision    what float32 leaves of the vectors
"""
