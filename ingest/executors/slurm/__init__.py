"""Start runs as jobs of Slurm: an array that computes chunks, and a job that loads them.

The jobs share a file system with the machine that submits. What was submitted is known from
folders (`<store>.data/submissions`) and from squeue; Slurm's accounting is not asked. Modules
import only those before them:

engine       the commands of Slurm: sbatch, squeue, scancel, scontrol
script       the two scripts
claims       what jobs that are not over compute and load
executor     submit what is missing
work         what a task does on a node
strips       submit the strips of a matrix, say how far they are, and cancel them
overview     status and cancel

What is not Slurm's own lies in `ingest.executors.shared`.
"""

from __future__ import annotations

from ingest.executors.slurm.executor import SlurmExecutor

EXECUTOR = SlurmExecutor
