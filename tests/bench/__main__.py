"""`make bench`: every figure is a ratio against a named rival or limit of the same run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from query.metrics import METRICS
from tests.bench import (
    chance,
    cluster,
    engine,
    given,
    images,
    ingest,
    intervals,
    layers,
    loading,
    nodes,
    novelty,
    page,
    paper,
    probes,
    rows,
    sql,
    strips,
)
from tests.bench.report import Report, Row

BENCHES: dict[str, tuple[Callable[[argparse.Namespace], Iterator[Row]], str]] = {
    "sql": (
        lambda options: sql.run(options.metrics, one_thread=options.one_thread),
        "aggregates and table functions against arrays in memory",
    ),
    "engine": (
        lambda options: engine.run(_size(options, engine.Size())),
        f"all pairs of models at once against one pair at a time ({engine.Size()})",
    ),
    "memory": (lambda options: ingest.memory(), "what the ingesting process holds"),
    "demo": (lambda options: ingest.demo(), "`make demo` against its models' own time; 3 minutes"),
    "loading": (
        lambda options: loading.run(),
        "loading a run's vectors against writing them, and their size on disk",
    ),
    "ingest": (lambda options: ingest.overhead(), "ingest against a plain loop over the model"),
    "page": (
        lambda options: page.run(),
        "the report and the site against their limits; needs Chromium, for the site npm's registry",
    ),
}
NAMED: dict[str, tuple[Callable[[argparse.Namespace], Iterator[Row]], str]] = {
    "containers": (
        lambda options: ingest.containers(),
        "ingest in a container against the local environment; needs an engine and sevennet's image "
        "(`matterzoo build sevennet`)",
    ),
    "images": (
        lambda options: images.run(options.families, options.base),
        "images of families against their environments, built one after another; needs an engine "
        "and --families; --base: the base image; some minutes per family",
    ),
    "paper": (
        lambda options: paper.run(_size(options, paper.SIZE), options.store),
        f"one matrix from a store on disk ({paper.SIZE}; writes 6 GB; takes half an hour); "
        "needs --store",
    ),
    "rows": (
        lambda options: rows.run(_size(options, rows.SIZE), options.store),
        f"estimates from rows against a full pass, and one matrix of many systems ({rows.SIZE}; "
        "writes 9 GB; takes half an hour); needs --store",
    ),
    "layers": (
        lambda options: layers.run(),
        "all layers of a model against the default one, and all pairs of layers against the search "
        "and the pairs that they need; 5 minutes",
    ),
    "nodes": (
        lambda options: nodes.run(),
        f"two models compared on {nodes.SYSTEMS * nodes.NODES:,} atoms against arrays in memory; "
        "5 minutes",
    ),
    "strips": (
        lambda options: strips.run(_size(options, strips.SIZE)),
        f"a matrix found by two processes against one ({strips.SIZE}); 6 minutes",
    ),
    "given": (
        lambda options: given.run(_size(options, given.SIZE)),
        f"a matrix of what a description leaves against the plain one ({given.SIZE}); 5 minutes",
    ),
    "novelty": (
        lambda options: novelty.run(_size(options, novelty.SIZE)),
        f"novelty, duplicates and a selection of many systems ({novelty.SIZE}); 10 minutes",
    ),
    "probes": (
        lambda options: probes.run(_size(options, probes.SIZE)),
        f"a label read from every model, against five minutes and scikit-learn ({probes.SIZE}); "
        "15 minutes",
    ),
    "chance": (
        lambda options: chance.run(),
        f"how often unrelated models are called alike at p ≤ 0.05, of {chance.PAIRS} pairs; "
        "5 minutes",
    ),
    "cluster": (
        lambda options: cluster.run(options.systems),
        "a task of Slurm against the bare worker on the same job, and empty tasks; 10 minutes; "
        "needs root and Debian's Slurm; --systems: of a chunk",
    ),
    "intervals": (
        lambda options: intervals.run(options.systems),
        "what 95 % intervals claim against what values scatter, and coverage; 15 minutes; "
        "--systems: one n",
    ),
    "gpu": (
        lambda options: engine.on_gpu(),
        "metrics of all pairs on an NVIDIA GPU; `.ci/gpu` runs it with the tests",
    ),
    "all-metrics": (
        lambda options: engine.all_metrics(_size(options, paper.SIZE), options.device),
        f"every metric of all pairs on a device ({paper.SIZE})",
    ),
}


def main() -> None:
    options = _parse()
    chosen = options.bench or list(BENCHES)
    report = Report(", ".join(chosen), options.record)
    for name in chosen:
        report.add((BENCHES | NAMED)[name][0](options))
    report.close()
    if not report.complete:
        sys.exit("error: something could not be measured; the reason is above")


def _parse() -> argparse.Namespace:
    told = "\n".join(f"  {name:<12} {what}" for name, (_, what) in BENCHES.items())
    named = "\n".join(f"  {name:<12} {what}" for name, (_, what) in NAMED.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog=f"run if none is named:\n{told}\nrun only if named:\n{named}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bench", nargs="*", choices=[*BENCHES, *NAMED], help="which", metavar="bench"
    )
    for name in ("models", "systems", "dimensions"):
        parser.add_argument(f"--{name}", type=int, help="for a trial with less")
    parser.add_argument(
        "--metrics", nargs="+", choices=METRICS, default=list(METRICS), help="of sql: these alone"
    )
    parser.add_argument(
        "--one-thread", action="store_true", help="of sql: the processor's time of one thread"
    )
    parser.add_argument("--families", nargs="+", metavar="NAME", help="of images: these")
    parser.add_argument(
        "--base", default=os.environ.get("MATTERZOO_BASE"), help="of images: the base image"
    )
    parser.add_argument("--device", default="cpu", help="of all-metrics: cpu or cuda")
    parser.add_argument(
        "--store", type=Path, help="of paper and rows: the file to make, or made by an earlier run"
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="append the report to this Markdown file"
    )
    options = parser.parse_args()
    if "images" in options.bench and not options.families:
        parser.error("images needs --families NAME …")
    for name in ("paper", "rows"):
        if name in options.bench and options.store is None:
            parser.error(f"{name} needs --store PATH")
    return options


def _size(options: argparse.Namespace, default: engine.Size) -> engine.Size:
    named = {name: getattr(options, name) for name in ("models", "systems", "dimensions")}
    return replace(default, **{name: value for name, value in named.items() if value is not None})


if __name__ == "__main__":
    main()
