"""Weights: where they are, downloads that are verified, and the pins of what they contain."""
