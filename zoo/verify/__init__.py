"""What `matterzoo check` does: does a model behave as its card says, and the record of it."""
