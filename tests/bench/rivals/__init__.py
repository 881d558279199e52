"""The rivals: how one pair of models is aligned with what is published today.

- `dense`: plain restatements of published formulas that no package offers, dense steps and all.
- `packaged`: rivals from PyPI of which the pins do not fit ours, in an environment of their own.
"""
