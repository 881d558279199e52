"""Options that several commands share, and those that commands of `query` get from here."""

from __future__ import annotations

from ingest.commands.matrix import add_where_of_matrix
from zoo.command_line import Commands, Parser, device, named, positive


def add_to_questions(commands: Commands) -> None:
    """Add to commands that ask a store what this package does for them.

    Args:
        commands: The program's commands, those of `query` among them.
    """
    add_where_of_matrix(commands.find("matrix"))
    commands.find("site").set_defaults(sources="ingest.commands.site:prompt_sources")
    sub = commands.find("nearest")
    sub.add_argument("--name", type=named, help="store them as this dataset (default: not at all)")
    about = "take the numbers of rows, from 0, for ids where a file has none"
    sub.add_argument("--numbered", action="store_true", help=about)
    add_computing(sub)
    about = "do not ask: accept licenses and record hashes of weights that nobody has recorded"
    sub.add_argument("--yes", action="store_true", help=about)
    sub.set_defaults(embed="ingest.commands.nearest:embed_given")


def add_own_files(sub: Parser, of_vectors: str = "") -> None:
    """Add the options that say how a user's own files are read.

    Args:
        sub: The parser of a command that takes files.
        of_vectors: What --numbered means for vectors, at the end of its help.
    """
    about = "what to call your own files as a dataset (default: as the file or folder is called)"
    sub.add_argument("--name", help=about)
    about = "take the numbers of rows, from 0, for ids where a file of yours has none"
    sub.add_argument("--numbered", action="store_true", help=about + of_vectors)


def add_computing(sub: Parser) -> None:
    """Add the options that say how a model is run.

    Args:
        sub: The parser of a command that runs models.
    """
    about = "how workers are started: docker, apptainer or venv (default: the best there is)"
    sub.add_argument("--runtime", help=about)
    about = "cpu (default), cuda, cuda:N, cuda:GPU-<uuid>, cuda:MIG-<uuid>; never another instead"
    sub.add_argument("--device", type=device, default="cpu", help=about)
    about = "the precision (default: the card's, which is float32 for most models)"
    dtypes = ["float32", "float64", "bfloat16", "float16"]
    sub.add_argument("--dtype", choices=dtypes, help=about)


def add_where(sub: Parser) -> None:
    """Add the options that say where runs are started.

    Args:
        sub: The parser of a command that starts runs.
    """
    about = "where runs are started: local, in this process (default), slurm or ray"
    sub.add_argument("--on", default="local", metavar="EXECUTOR", help=about)
    sub.add_argument("--partition", type=named, help="on slurm: the partition of the jobs")
    sub.add_argument("--account", type=named, help="on slurm: whom the jobs are charged to")
    about = "on slurm: how long a task may take, such as 30m, 4h, 2d or 1-12:00:00"
    sub.add_argument("--time", type=named, help=about)
    about = "on slurm or ray: how many tasks may run at the same time"
    sub.add_argument("--at-once", type=positive, help=about)
    about = "on slurm or ray: how many chunks a task computes (default: by how long they take)"
    sub.add_argument("--per-task", type=positive, help=about)
    about = "on slurm: further options of sbatch, such as --sbatch='--constraint=a100'"
    sub.add_argument("--sbatch", help=about)
    about = "on ray: host:port or auto; local: one for this command (default: RAY_ADDRESS or local)"
    sub.add_argument("--address", type=named, help=about)
