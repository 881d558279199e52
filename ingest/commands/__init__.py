"""The commands that fill and keep the store: ingest, plan, sharing, images, environments, disk."""

from __future__ import annotations

import argparse
from typing import Any

from ingest.commands.options import add_computing, add_own_files, add_where
from ingest.limits import Limits
from zoo.command_line import Commands, Parser, add_store, amount, device, memory, named, positive

EMBED = "ingest.commands.embed"
CLUSTER = "ingest.commands.cluster"
SHARE = "ingest.commands.sharing"
IMAGES = "ingest.commands.images"
KEEP = "ingest.commands.housekeeping"
CHECK = "ingest.commands.checks"
SOME_MODELS = (
    "ids separated by commas; all: those with their weights here; bundled: those that need no "
    "download; demo: those of the demo; x@untrained, x@untrained-2, …: untrained twins"
)
A_DATASET = (
    "names of datasets (see `matterzoo datasets`), separated by commas; or your own: a file, a "
    "folder, or a glob in quotes"
)
A_FAMILY = "a family's name, or all"


def add_commands(commands: Commands) -> None:
    """Add the commands of this package.

    Args:
        commands: The program's commands.
    """
    _add_embedding(commands)
    _add_cluster(commands)
    _add_sharing(commands)
    _add_exports(commands)
    _add_checks(commands)
    _add_images(commands)
    _add_housekeeping(commands)


def _add_embedding(commands: Commands) -> None:
    sub = commands.add("ingest", f"{EMBED}:embed", "embed datasets with models, into the store")
    _add_request(sub, "; with --vectors: they are of all systems, in order")
    about = "what the worker may take, such as 512m or 8g (in a container)"
    sub.add_argument("--memory", type=memory, help=about)
    about = "how many CPU cores the worker may take, such as 2 (in a container)"
    sub.add_argument("--cpus", type=amount, help=about)
    about = "s without a sign of life, after which the worker counts as hung (default: %(default)g)"
    sub.add_argument("--timeout", type=amount, default=Limits.silence, help=about)
    add_where(sub)
    about = "ids and vectors, not computed here: .parquet, .npz, .npy, .csv, .tsv, .csv.gz, .tsv.gz"
    sub.add_argument("--vectors", help=about)
    about = "with --vectors: a .txt, .csv, .tsv, .json or .npy of their ids, in their order"
    sub.add_argument("--ids", help=about)
    sub.add_argument("--title", help="with --vectors: what the model is")
    about = "with --vectors: the vectors' license (default: recorded as not stated)"
    sub.add_argument("--license", help=about)
    about = "do not ask: accept licenses and record hashes of weights that nobody has recorded; "
    about += "with --vectors: let systems lose stored vectors"
    sub.add_argument("--yes", action="store_true", help=about)
    about = "say what `ingest` will take, before it starts"
    sub = commands.add("plan", f"{EMBED}:plan", about)
    _add_request(sub)
    add_where(sub)
    about = "list the datasets, with their sizes, downloads and licenses"
    commands.add("datasets", f"{EMBED}:list_datasets", about)


def _add_request(sub: Parser, of_vectors: str = "") -> None:
    sub.add_argument("model", help=SOME_MODELS)
    sub.add_argument("dataset", help=A_DATASET)
    add_store(sub)
    add_own_files(sub, of_vectors)
    add_computing(sub)
    about = "only so many systems; a larger limit contains a smaller one's"
    sub.add_argument("--limit", type=positive, help=about)
    about = "batch budget, in the unit of the card (default: the card's)"
    sub.add_argument("--batch", type=positive, help=about)
    about = "names separated by commas, 'layers' or 'all'; NAME:sum, NAME:std and NAME:max pool "
    about += "nodes in another way than by their mean (default: the card's default)"
    sub.add_argument("--representation", help=about)
    about = "keep the vectors of atoms or residues, too, as table node_embeddings"
    sub.add_argument("--nodes", action="store_true", help=about)


def _add_cluster(commands: Commands) -> None:
    about = "say how far the jobs are that `ingest --on slurm` has submitted"
    status = commands.add("status", f"{CLUSTER}:status", about)
    about = "cancel the jobs that `ingest --on slurm` has submitted; what is computed stays"
    cancel = commands.add("cancel", f"{CLUSTER}:cancel", about)
    for sub in (status, cancel):
        sub.add_argument("submission", nargs="*", help="names that `status` shows (default: all)")
        add_store(sub)
    about = "what a task does on a node of a cluster; its script calls it"
    work = commands.add("work", f"{CLUSTER}:work", about)
    about = "what a load job does on a node of a cluster; its script calls it"
    load = commands.add("load", f"{CLUSTER}:load", about)
    for sub in (work, load):
        sub.add_argument("submission", help="the submission's name")
        add_store(sub)
    about = "the task's number (default: SLURM_ARRAY_TASK_ID)"
    work.add_argument("--task", type=int, help=about)
    work.add_argument("--tied", action="store_true", help="end when standard input does, as on ray")


def _add_sharing(commands: Commands) -> None:
    about = "push a model's vectors to a hub, with a data card"
    publish = commands.add("publish", f"{SHARE}:publish_models", about)
    publish.add_argument("model", type=named, help="ids separated by commas")
    about = "load vectors that others have published"
    fetch = commands.add("fetch", f"{SHARE}:fetch_models", about)
    fetch.add_argument(
        "model", help="ids separated by commas, or all: every model over the dataset"
    )
    for sub in (publish, fetch):
        sub.add_argument("dataset", help=A_DATASET)
        sub.add_argument("repo", help="a dataset repository of the hub, owner/name")
        add_store(sub)
        about = "names separated by commas (default: all that there are)"
        sub.add_argument("--representation", help=about)
    fetch.add_argument("--revision", help="40 hex digits, a branch or a tag (default: the newest)")
    about = "only so many systems of a dataset that is not here yet"
    fetch.add_argument("--limit", type=positive, help=about)


def _add_exports(commands: Commands) -> None:
    sub = commands.add("export", f"{SHARE}:export_store", "write the store to one DuckDB file")
    about = "a new file: every DuckDB client reads it, and `matterzoo import` takes it back"
    sub.add_argument("file", help=about)
    add_store(sub)
    about = "write a dataset's systems to a file, to be embedded with a model of your own"
    sub = commands.add("export-systems", f"{SHARE}:export_systems", about)
    sub.add_argument("dataset", help=A_DATASET)
    about = "a new file: .extxyz, .csv (SMILES), .fasta, or .parquet with all that is known"
    sub.add_argument("file", help=about)
    add_own_files(sub)
    about = "only so many systems; a larger limit contains a smaller one's"
    sub.add_argument("--limit", type=positive, help=about)
    add_store(sub)
    about = "take an exported store into this one, run by run; it adds, and replaces nothing"
    sub = commands.add("import", f"{SHARE}:import_store", about)
    sub.add_argument("file", help="a file that `matterzoo export` wrote")
    add_store(sub)


def _add_checks(commands: Commands) -> None:
    about = "check all cards for faults, or whether a model behaves as its card says"
    sub = commands.add("check", f"{CHECK}:check", about)
    sub.add_argument("model", nargs="?", help="ids separated by commas, or all (default: cards)")
    about = "check only the cards of these families"
    sub.add_argument("--family", type=named, help=about)
    about = "with a dummy checkpoint in the published format, even if the weights are here"
    sub.add_argument("--dummy", action="store_true", help=about)
    sub.add_argument("--device", type=device, default="cpu", help="cpu (default), cuda, cuda:N")
    about = "download files once and record their hashes: a model's weights, a dataset's files"
    sub = commands.add("pin", f"{CHECK}:pin", about)
    about = "model ids, separated by commas, or all"
    sub.add_argument("model", nargs="?", type=named, help=about)
    sub.add_argument("--dataset", help="a dataset's name, instead of models")
    about = "let what is found now replace what was pinned"
    sub.add_argument("--again", action="store_true", help=about)


def _add_images(commands: Commands) -> None:
    commands.add(
        "images", f"{IMAGES}:list_images", "list each family's image: here, published, stale"
    )
    sub = _of_a_family(commands, "build", "build a family's image on the local engine")
    _add_build_options(sub)
    sub = _of_a_family(commands, "push", "push a family's image and record its digest")
    sub.add_argument("registry", help="such as ghcr.io/owner or 127.0.0.1:5000")
    about = "even an image that holds files that no commit has"
    sub.add_argument("--uncommitted", action="store_true", help=about)
    sub = commands.add("pull", f"{IMAGES}:pull", "pull the published image, by its digest")
    sub.add_argument("family", nargs="?", type=named, help=A_FAMILY)
    sub.add_argument("--model", help="a model's id: its family's image")
    about = "write a family's image to a file, for a cluster without Docker"
    _of_a_family(commands, "save", about)
    about = "download what an image is built from, for a build without a network"
    sub = _of_a_family(commands, "wheels", about)
    sub.add_argument("--python", default="3.11", help="the base image's Python (default: 3.11)")
    about = "the image's processor, such as x86_64, arm64 (default: this machine's)"
    sub.add_argument("--machine", help=about)
    about = "compute a family's golden vectors in its image, and compare them"
    sub = _of_a_family(commands, "check-image", about)
    about = "what starts the image: docker (default) or apptainer"
    sub.add_argument("--runtime", default="docker", choices=["docker", "apptainer"], help=about)
    about = "print the families whose image a change touches, as JSON"
    sub = commands.add("changed-images", f"{IMAGES}:changed_images", about)
    sub.add_argument("since", help="a revision of the repository")
    about = "print the families with no published image, or one of an older recipe, as JSON"
    commands.add("stale-images", f"{IMAGES}:stale_images", about)


def _of_a_family(commands: Commands, name: str, about: str) -> Parser:
    sub = commands.add(name, f"{IMAGES}:{name.replace('-', '_')}", about)
    sub.add_argument("family", help=A_FAMILY)
    return sub


def _add_build_options(sub: Parser) -> None:
    options: dict[str, dict[str, Any]] = {
        "base": {"help": "base image (MATTERZOO_BASE; default: the Dockerfile's)"},
        "builder": {"help": "image to install in (MATTERZOO_BUILDER; default: the base)"},
        "torch": {"help": "PyTorch's build: cpu, cu126, … (default: the index's own, CUDA)"},
    }
    for name, said in options.items():
        sub.add_argument(f"--{name}", **said)
    about = "without a network, from the wheels that `matterzoo wheels` downloaded"
    sub.add_argument("--offline", action="store_true", help=about)
    sub.add_argument("--no-cache", action="store_true", help="build every layer again")


def _add_housekeeping(commands: Commands) -> None:
    about = "build a family's local environment from its lock"
    sub = commands.add("env", f"{KEEP}:build_environment", about)
    about = (
        "a family's name, all, bundled (those with a model that needs no download) or demo (those "
        "of the demo)"
    )
    sub.add_argument("family", help=about)
    about = "say what this machine can run models with, and what is missing for the rest"
    add_store(commands.add("doctor", f"{KEEP}:doctor", about))
    about = "make the store again from its runs"
    add_store(commands.add("rebuild", f"{KEEP}:rebuild_store", about))
    about = "bring a store of an earlier version into the form of today; nothing is computed"
    add_store(commands.add("migrate", f"{KEEP}:migrate", about))
    add_store(commands.add("du", f"{KEEP}:disk_usage", "say what takes how much disk"))
    about = "remove models' vectors, environments, caches, submissions, matrices, images, by name"
    sub = commands.add("clean", f"{KEEP}:clean", about, formatter_class=argparse.HelpFormatter)
    about = (
        "ids separated by commas: their rows in the store, their runs and vector files are removed"
    )
    sub.add_argument("model", nargs="?", help=about)
    about = "names separated by commas: only what the models have on these is removed"
    sub.add_argument("dataset", nargs="?", help=about)
    add_store(sub)
    sub.add_argument("--env", metavar="FAMILY", help="remove this family's environment instead")
    about = "remove the neighbor lists that questions keep instead"
    sub.add_argument("--cache", action="store_true", help=about)
    about = (
        "remove the scripts, logs and notes of these submissions to a cluster instead; or all: "
        "your own whose jobs are over. What they have computed stays"
    )
    sub.add_argument("--submissions", metavar="NAMES", help=about)
    about = "remove these matrices that were begun or found in strips instead; or outdated: those "
    about += "that no question asks for any more, since vectors or code have changed"
    sub.add_argument("--matrices", metavar="KEYS", help=about)
    about = "remove our images and containers instead, of a family or all, from the engine"
    sub.add_argument("--images", metavar="FAMILY", help=about)
    about = "do not ask before more than one run, submission or matrix, or all images, are removed"
    sub.add_argument("--yes", action="store_true", help=about)
