"""What metrics share, found once for all models and pairs: neighbour lists, and sums over all pairs of systems."""
