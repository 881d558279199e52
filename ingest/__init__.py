"""From systems and models to vectors in the store; README.md says what each folder does."""
