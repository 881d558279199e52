"""The commands that ask a store: query, shell, report, site, serve."""

from __future__ import annotations

import argparse
import ipaddress

from zoo.command_line import Commands, Parser, add_store, device, named, positive

FORMATS = ("csv", "json", "parquet")


def add_commands(commands: Commands) -> None:
    """Add the commands of this package.

    Args:
        commands: The program's commands.
    """
    _add_query(commands)
    sub = commands.add("shell", "query.commands.ask:open_shell", "open a SQL prompt on the store")
    add_store(sub)
    _let_write(sub)
    what = "write the figures of datasets, with their data and SQL, as one page"
    sub = commands.add(
        "report",
        "query.commands.ask:write_report",
        what,
        description=REPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("dataset", type=named, help="names of datasets, separated by commas")
    sub.add_argument("out", nargs="?", default="report", help="the folder (default: report)")
    _share(sub)
    add_store(sub)
    about = "write a page per model, pair of models, family and dataset, for any web host"
    sub = commands.add("site", "query.commands.ask:write_site", about, description=SITE)
    sub.add_argument("dataset", type=named, help="names of datasets, separated by commas")
    sub.add_argument("out", nargs="?", default="site", help="the folder (default: site)")
    sub.add_argument("--title", type=named, help="the title of the site")
    about = "leave out the SQL prompt (35 MB, downloaded once) and the vectors that it has"
    sub.add_argument("--no-prompt", action="store_true", help=about)
    _share(sub)
    add_store(sub)
    _add_serve(commands)
    _add_nearest(commands)
    _add_matrix(commands)


def _add_serve(commands: Commands) -> None:
    about = "serve a SQL prompt on the store, read-only, as a page in the browser"
    sub = commands.add("serve", "query.commands.ask:serve", about, description=SERVE)
    add_store(sub)
    about = "the address to listen at (default: 127.0.0.1, this machine's own)"
    sub.add_argument("--address", type=_address, default="127.0.0.1", help=about)
    sub.add_argument("--port", type=_count, default=8765, help="default: 8765; 0: one that is free")
    about = "statements that run at once (default: 2)"
    sub.add_argument("--readers", type=positive, default=2, help=about)
    about = "seconds that a statement may take (default: 60)"
    sub.add_argument("--seconds", type=positive, default=60, help=about)
    about = "rows that are sent at most (default: 10000)"
    sub.add_argument("--rows", type=positive, default=10_000, help=about)
    about = "a folder that `matterzoo report` wrote, to be served below /pages/"
    sub.add_argument("--pages", type=named, help=about)


def _add_nearest(commands: Commands) -> None:
    """Add the command that compares one's own system; `ingest` adds how it is embedded."""
    about = "embed a system of your own, and list what the model sees as most like it"
    sub = commands.add("nearest", "query.commands.nearest:nearest", about, description=NEAREST)
    sub.add_argument("model", type=named, help="a model of the store, or model#representation")
    about = "a file of systems, or a SMILES string, or a protein's sequence"
    sub.add_argument("system", type=named, help=about)
    about = "where to look (default: all datasets of the store)"
    sub.add_argument("dataset", nargs="?", type=named, help=about)
    add_store(sub)
    sub.add_argument("--k", type=positive, default=10, help="how many systems (default: 10)")
    sub.add_argument("--format", dest="form", choices=("csv", "json"), help="instead of a table")
    about = "the file to write instead of printing: .csv, .json or .parquet"
    sub.add_argument("--out", type=named, help=about)


def _add_matrix(commands: Commands) -> None:
    """Add the command that finds a matrix in strips, and those of its processes.

    `ingest` adds the options that say where.
    """
    about = "find the alignments of all pairs of models with several processes or nodes"
    sub = commands.add("matrix", "query.commands.matrix:matrix", about, description=MATRIX)
    sub.add_argument("dataset", type=named, help="the dataset")
    add_store(sub)
    sub.add_argument("--metric", type=named, default="cknna", help="default: cknna; or several")
    sub.add_argument("--models", help="ids separated by commas (default: all with vectors there)")
    sub.add_argument("--rows", type=_rows, default="all", help="all, or how many are drawn")
    sub.add_argument("--k", type=positive, help="neighbors per system (default: the metric's)")
    sub.add_argument("--estimator", help="the metric's estimator (default: its first)")
    sub.add_argument("--normalize", default="l2", help="l2 (default), max, zscore or none")
    about = "shuffled pairings for p_value and chance (default: 100)"
    sub.add_argument("--permutations", type=_count, default=100, help=about)
    about = "random subsets for the interval (default: 0, none)"
    sub.add_argument("--subsamples", type=_count, default=0, help=about)
    sub.add_argument("--seed", type=_count, default=0, help="of what is drawn (default: 0)")
    sub.add_argument("--given", help="not in strips: FROM alignment_matrix(…, given := …) has it")
    about = "pairwise (default) or common"
    sub.add_argument("--missing", default="pairwise", choices=["pairwise", "common"], help=about)
    sub.add_argument("--device", type=device, help="cpu (default) or cuda")
    _add_processes(commands)
    for name in ("status", "clean"):  # of `ingest`, which does not know what a question is
        commands.find(name).set_defaults(outdated="query.commands.matrix:find_outdated")


def _add_processes(commands: Commands) -> None:
    """Add the commands that `matrix` and its scripts call."""
    about = "what each process of `matrix` does; `matrix` and its scripts call it"
    work = commands.add("matrix-work", "query.commands.matrix:work", about)
    about = "put together what the processes of `matrix` have found; its scripts call it"
    load = commands.add("matrix-load", "query.commands.matrix:load", about)
    for each in (work, load):
        each.add_argument("key", help="the matrix, as `matterzoo status` names it")
        add_store(each)
    about = "the process's number (default: SLURM_ARRAY_TASK_ID, else 0)"
    work.add_argument("--task", type=_count, help=about)
    work.add_argument("--tasks", type=positive, default=1, help="how many processes there are")
    work.add_argument("--threads", type=positive, help="default: all that this process may use")
    work.add_argument("--tied", action="store_true", help="end when standard input does")
    load.add_argument("--wait", type=float, default=0.0, help="s to wait for files seen late")


def _count(text: str) -> int:
    return 0 if text == "0" else positive(text)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        wanted = "the number of an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::1"
        raise argparse.ArgumentTypeError(f"{text!r}; expected {wanted}") from None


def _rows(text: str) -> str:
    return text if text == "all" else str(positive(text))


def _add_query(commands: Commands) -> None:
    sub = commands.add(
        "query",
        "query.commands.ask:answer",
        "run SQL, or one of the statements that come with the program, and print the result",
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("sql", nargs="?", help="SQL; - reads standard input; or a statement's name")
    sub.add_argument("words", nargs="*", help="the statement's arguments")
    about = "show this and the statements; after a statement's name, what it does"
    sub.add_argument("-h", "--help", action="store_true", help=about)
    add_store(sub)
    _let_write(sub)
    form = sub.add_mutually_exclusive_group()
    about = "print CSV or a JSON array, or write a Parquet file"
    form.add_argument("--format", dest="form", choices=FORMATS, help=about)
    for name in ("csv", "json"):
        about = f"--format {name}"
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=about)
    about = "--format parquet --out OUT"
    form.add_argument("--parquet", dest="file", metavar="OUT", type=named, help=about)
    about = "the file to write instead of printing; .csv, .json and .parquet name the format"
    sub.add_argument("--out", type=named, help=about)
    sub.set_defaults(parser=sub)


def _share(parser: Parser) -> None:
    about = "how many processes share the work (default: one per core, if memory allows)"
    parser.add_argument("--processes", type=positive, help=about)


def _let_write(parser: Parser) -> None:
    about = "allow changes, such as inserting labels and scores"
    parser.add_argument("--write", action="store_true", help=about)


MATRIX = """Find the alignments of all pairs of models over a dataset, in strips that several
processes or nodes share. FROM alignment_matrix(…) with the same options then finds the result, and
computes nothing, until the vectors change. What was found before the command ended is kept: the
same command goes on."""
SERVE = """Serve a page on which visitors ask the store in SQL, until Ctrl-C: one SELECT at a time,
with all functions. They cannot write, read files, or load extensions. At another address than
loopback they need a token, which is printed; the variable MATTERZOO_TOKEN may name one. What they
send is not encrypted, so put a proxy with TLS in front of it there."""
NEAREST = """Embed the systems of a file, a SMILES string or a protein's sequence with a model, as
`matterzoo ingest` does, and list the systems of the store that the model sees as most like each, by
cosine similarity, with their labels. Nothing is stored, unless --name says as which dataset."""
SITE = """Write pages on datasets into the folder OUT, which any static host serves: one per model,
pair of models, family and dataset, at addresses that stay, with their numbers as JSON beside them,
figures as Vega-Lite specifications, all results as Parquet, vectors of some systems where licenses
let them be shared, and a SQL prompt on all of these, for which DuckDB runs in the reader's browser.
No page fetches anything from elsewhere. Pages of an earlier site in OUT are replaced; whatever else
is there stays. The store is only read."""
REPORT = """Write a page of figures on datasets, with their data and SQL, into the folder OUT.

OUT/index.html is one file: it opens from disk, holds all it shows, and fetches nothing.
OUT/figures/ has each figure as a Vega-Lite specification (JSON), its rows as CSV, and the SQL that
gave them, ready to run. An earlier report in OUT is replaced; whatever else is there stays.
Sections that the store lacks something for say so. The store is only read."""
