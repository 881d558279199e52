"""Ask, in SQL, how alike any two scientific foundation models see the same matter.

    import matterzoo as mz
    mz.ingest("chgnet-0.3.0", "aflow")
    connection = mz.connect()
    connection.sql("FROM nearest_models('chgnet-0.3.0', dataset := 'aflow')")

The command of the same name has the rest: `matterzoo --help`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from zoo.errors import MatterzooError
from zoo.imports import import_little
from zoo.variables import NO_SPINNING

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    from query import figures
    from query.metrics import Alignment

__all__ = [
    "MatterzooError",
    "__version__",
    "align",
    "connect",
    "figures",
    "ingest",
    "load_vectors",
    "plan",
    "report",
]
__version__ = "0.1.0"

_INTERRUPTED = "interrupted; what is done is kept, and the same command goes on from there"
_EXIT_INTERRUPTED = 130
# What these print may be cut off by `| head`.
_LISTS = {"datasets", "du", "images", "info", "list", "plan", "query", "status"}


def connect(
    store: str | Path | None = None, *, read_only: bool = True
) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection to a store that knows the functions of this project.

    Args:
        store: The DuckDB file; None is the environment's MATTERZOO_STORE, else ./matter.duckdb.
        read_only: False allows inserting labels and scores, and keeps other processes out.

    Raises:
        MatterzooError: The store cannot be opened.
    """
    from query import connect as connect_to

    return connect_to(store, read_only=read_only)


def align(
    a: NDArray[np.floating[Any]],
    b: NDArray[np.floating[Any]],
    metric: str = "cknna",
    *,
    k: int | None = None,
    estimator: str | None = None,
    normalize: str = "l2",
    permutations: int = 100,
    subsamples: int = 0,
    seed: int = 0,
    device: str = "cpu",
    rows: int | None = None,
    given: NDArray[np.floating[Any]] | None = None,
) -> Alignment:
    """Return how alike two models see the same systems; no store is needed.

    Args:
        a: Vectors of one model, (n, d_a).
        b: Vectors of the other, (n, d_b); row i of both is the same system.
        metric: The name of a metric; query/README.md lists them, as does the error for a wrong one.
        k: Neighbors per system, for metrics that have them; None is the metric's default.
        estimator: None is the metric's default.
        normalize: How vectors are made comparable first: 'l2', 'max', 'zscore' or 'none'.
        permutations: Pairings by chance that the null and the p-value are made of; 0 for none.
        subsamples: Pairs of subsets that the 95 % interval is made of; 0 for none.
        seed: Of the permutations, the subsets and the drawn systems.
        device: Where products are computed: 'cpu', 'cuda' or 'cuda:1'.
        rows: How many systems are drawn for an estimate, each with its neighbors among all; None,
            or as many as there are, is exact. Metrics that cost no n² are exact anyway.
        given: A description of the systems, (n, d); what is linear in it is taken out of both.

    Returns:
        The value, or the reason why there is none (also if the arrays do not fit), n, the null's
        mean and standard deviation, p, the calibrated value, the interval, what the given explains;
        of an estimate also its standard error and how many rows it is from.

    Raises:
        ValueError: A parameter makes no sense.
        RuntimeError: This machine does not have the device.
    """
    from query.metrics import align as align_two

    return align_two(
        a,
        b,
        metric,
        k=k,
        estimator=estimator,
        normalize=normalize,
        permutations=permutations,
        subsamples=subsamples,
        seed=seed,
        device=device,
        rows=rows,
        given=given,
    )


def ingest(model: str, dataset: str | Path, **options: Any) -> None:
    """Embed a dataset with a model, and load the vectors into the store.

    Args:
        model: A model's id, or several separated by commas; 'bundled' is all that need no download.
        dataset: Names of datasets separated by commas; or a file, folder or glob of files.
        options: Those of `matterzoo ingest --help`, such as store, limit, device or runtime.

    Raises:
        MatterzooError: What was asked for is wrong, or a run failed.
    """
    _command("ingest", model, dataset, **options)


def plan(model: str, dataset: str | Path, **options: Any) -> None:
    """Print what an ingest will take before it starts: downloads, disk, time.

    Args:
        model: As for `ingest`.
        dataset: As for `ingest`.
        options: Those of `matterzoo plan --help`.

    Raises:
        MatterzooError: What was asked for is wrong.
    """
    _command("plan", model, dataset, **options)


def load_vectors(
    model: str,
    dataset: str | Path,
    ids: Sequence[str],
    vectors: NDArray[np.floating[Any]],
    **options: Any,
) -> None:
    """Load vectors of a model that has no family into the store.

    Args:
        model: A new id: lower-case letters, digits, dots and dashes.
        dataset: The name of a dataset, or the file, folder or glob of files that was embedded.
        ids: N ids of systems, with or without 'dataset/' before them.
        vectors: (n, d) finite numbers, row i of system ids[i].
        options: Store, name, title, license, limit, yes, as of `matterzoo ingest --help`.

    Raises:
        MatterzooError: Ids or vectors do not fit each other or the dataset.
    """
    import tempfile

    import numpy as np

    rows = np.asarray(vectors)
    if rows.ndim != 2 or len(rows) != len(ids):
        raise MatterzooError(
            f"{len(ids)} ids and vectors of shape {rows.shape}; expected vectors of shape "
            f"({len(ids)}, d), a row per id"
        )
    with tempfile.TemporaryDirectory(prefix="matterzoo-") as folder:
        file = Path(folder) / "vectors.npz"
        np.savez(file, system_id=np.asarray(ids, dtype=str), vector=rows)
        _command("ingest", model, dataset, vectors=file, **options)


def report(dataset: str, out: str | Path = "report", *, store: str | Path | None = None) -> None:
    """Write the figures of datasets, with their data and SQL, as one page.

    Args:
        dataset: Names of datasets, separated by commas.
        out: The folder; `index.html` in it is the page.
        store: The DuckDB file; None is the environment's MATTERZOO_STORE, else ./matter.duckdb.

    Raises:
        MatterzooError: The store lacks a dataset, or the folder cannot be written.
    """
    _command("report", dataset, out, store=store)


def _command(name: str, *words: object, **options: object) -> None:
    """Run a command as its line would; options by their long names, None and False left out."""
    from zoo.command_line import run

    line = [name, *map(str, words)]
    for option, value in options.items():
        if value is True:
            line.append(f"--{option.replace('_', '-')}")
        elif value is not None and value is not False:  # 0 is a value, and False by ==
            line.append(f"--{option.replace('_', '-')}={value}")
    if run(_parse(line)) != 0:
        raise MatterzooError(f"{name} failed for {' '.join(line[1:])}; the reason is printed above")


def _parse(line: Sequence[str]) -> argparse.Namespace:
    """Return the options that a line gives. The parser is cheap: handlers are named as text."""
    from zoo.command_line import UsageError
    from zoo.errors import did_you_mean

    parser, commands = _make_parser()
    if line and not line[0].startswith("-") and line[0] not in commands:
        raise UsageError(f"no command is named {line[0]!r}; {did_you_mean(line[0], commands)}")
    return parser.parse_args(line)


@cache  # making it takes longer than some commands that Python code runs one after another
def _make_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """Return the parser of all commands, and their names. No default depends on the environment."""
    from ingest.commands import add_commands as add_ingest
    from ingest.commands.options import add_to_questions
    from query.commands import add_commands as add_query
    from zoo.command_line import Commands, Parser
    from zoo.commands import add_commands as add_zoo

    parser = Parser(
        prog="matterzoo",
        description=(__doc__ or "").splitlines()[0],
        epilog="`matterzoo COMMAND --help` explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"matterzoo {__version__}")
    commands = Commands(parser)
    for add in (add_zoo, add_ingest, add_query, add_to_questions):
        add(commands)
    return parser, commands.names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after the program's name; None are those of this process.

    Returns:
        The exit code: 0 done, 1 a run failed, 2 what was asked for is wrong, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    before = signal.signal(signal.SIGTERM, _interrupt)
    os.environ |= NO_SPINNING | dict(os.environ)
    if arguments is None:  # the process has no other purpose
        import_little()
    try:
        from zoo.command_line import run

        code = run(_parse(given))
        sys.stdout.flush()  # here, so that a pipe that has ended is met within this block
        return code
    except MatterzooError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        print(str(error) or _INTERRUPTED, file=sys.stderr)
        return _EXIT_INTERRUPTED
    except BrokenPipeError:  # `matterzoo du | head`
        sys.stderr.close()
        return 0 if given[:1] and given[0] in _LISTS else 1
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def __getattr__(name: str) -> Any:
    """`matterzoo.figures`, loaded when it is first asked for: it takes a second to import."""
    if name == "figures":
        return import_module("query.figures")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    sys.exit(main())
