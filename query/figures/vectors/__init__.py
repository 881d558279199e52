"""Figures of vectors: what a model makes of the systems, and what can be read from them."""
