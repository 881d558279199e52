"""Start runs as tasks of Ray, on this machine or on a cluster.

The command stays until all is done, and is the only writer of the store. What a task gets is the
path of its submission and a number; vectors go through the file system that nodes share, and none
through Ray. Ray is imported by `dispatch` alone, a process of its own. Modules import only those
before them:

dispatch     a program: have Ray start other programs on its nodes
engine       start that program, and talk with it
drive        start tasks, again where that may help, and load chunks as they are finished
work         what a task does on a node
strips       have Ray find the strips of a matrix
executor     find what is missing, and have it computed

What is not Ray's own lies in `ingest.executors.shared`.
"""

from __future__ import annotations

from ingest.executors.ray.executor import RayExecutor

EXECUTOR = RayExecutor
