"""What every figure is made of, so that a figure's own file holds only what it shows.

`chart` (data, tooltips, title), `kinds` (colors, shapes and legends), `guides` (axes, lines and
words), `names` (at points), `pairs` (clouds of pairs of models), `cells` (matrices of values),
`labels` (numbers and words), `looks` and `theme` (how things look), `questions` (statements that
may have no answer).
"""
