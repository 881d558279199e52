"""What exists: families of models, their cards, and the code that turns systems into vectors.

families/      one folder per family: cards, locks, encoder
encoder        the contract between the worker and a family's encoder
worker/        the program that runs in a family's environment; `worker/job.py` is what it is given
cards/         cards: read, checked, found
weights/       downloads of weights, verified and pinned
verify/        `matterzoo check`, and golden vectors
commands/      the commands about models and families
description    what `matterzoo list` and `matterzoo info` print

Shared with the other packages:

files          the atomic write and the file lock
terminal       log lines, progress bars, tables
command_line   the parser, and how a command is added
errors         the base of all errors, and suggestions for names that do not exist
places         where things lie
code           hashes of code that ignore comments and docstrings
variables      the environment variables that a worker gets
training_sets  how training sets are related, and which datasets of ours they hold
"""
