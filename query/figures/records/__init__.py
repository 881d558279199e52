"""Figures of what else is on record: energies, scores, training sets."""
