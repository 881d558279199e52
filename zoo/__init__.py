"""What exists: families of models, their cards, and the code that turns systems into vectors."""
