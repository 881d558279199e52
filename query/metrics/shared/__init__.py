"""What metrics share: what a value comes with, and estimates from some of the systems."""
