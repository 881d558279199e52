"""Figures of models: how alike they are, and what that comes from."""
