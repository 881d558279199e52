"""What every figure is made of, so that a figure's own file holds only what it shows.

`plot` (a figure with its statement and its tooltips), `looks` (colors and markers), `labels`
(numbers and words), `questions` (statements that may have no answer), `pairs` (clouds of pairs of
models), `cells` (matrices of values).
"""
