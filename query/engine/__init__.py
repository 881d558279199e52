"""What metrics share, found once for all models and pairs: neighbor lists, and sums over all pairs of systems."""
