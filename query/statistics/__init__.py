"""Nulls, intervals and tests over pairs of models; pure numbers, no store."""
