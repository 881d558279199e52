"""What metrics build on: normalized vectors, neighbor lists, sums over all pairs of systems."""
