"""Start runs as jobs of Slurm: an array that computes chunks, and a job that loads them.

The jobs share a file system with the machine that submits. What was submitted is known from
folders (`<store>.data/slurm`) and from squeue; Slurm's accounting is not asked. Modules import only
those before them:

engine       the commands of Slurm: sbatch, squeue, scancel, scontrol
submission   the folder of what was submitted
late         files that other nodes have written and that are seen late
starts       how often a task has started with a chunk, and how that ended
grouping     which chunks a task computes
script       the two scripts
claims       what jobs that are not over compute and load
staging      what nodes without a network need, made ready before anything is submitted
executor     submit what is missing
work         what a task does on a node
loading      what the load job does
overview     status and cancel
"""

from __future__ import annotations

from ingest.executors.slurm.executor import SlurmExecutor

EXECUTOR = SlurmExecutor
