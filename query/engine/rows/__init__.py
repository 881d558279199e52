"""What is found from some of the rows of the table of all pairs of systems."""
