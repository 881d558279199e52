"""What `probe` and `transfer` share: the question, probed vectors, baselines."""
