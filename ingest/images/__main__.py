"""python -m ingest.images: build, publish, pull and remove the families' container images."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from ingest.failures import NoRuntime, RunError
from ingest.images import operations
from ingest.images.build import BuildOptions
from ingest.images.engine import connected
from ingest.images.status import changed_families, describe_images, stale_families
from ingest.images.wheels import fetch_wheels as fetch_wheels_of
from ingest.layout import Layout
from ingest.maintenance.confirm import confirm
from ingest.maintenance.doctor import diagnose, show
from ingest.runs.errors import RequestError
from ingest.runs.execute import say
from ingest.runtimes import choose_runtime
from ingest.runtimes.check_image import check_image as check_golden_vectors
from schemas.errors import StoreError
from schemas.interrupt import listen
from zoo.cards.base import CardError
from zoo.cards.discovery import find_families, find_family, find_model


def build_images(options: argparse.Namespace) -> int:
    build_options = BuildOptions(
        options.base, options.builder, options.torch, options.offline, not options.no_cache
    )
    operations.build_images(options.family, build_options, say)
    return 0


def push_images(options: argparse.Namespace) -> int:
    operations.push_images(options.family, options.registry, say)
    return 0


def pull_images(options: argparse.Namespace) -> int:
    if (options.family is None) == (options.model is None):
        raise RunError("say what to pull: --family chgnet, --family all, or --model chgnet-0.3.0")
    operations.pull_images(options.family or find_model(options.model).family.name, say)
    return 0


def list_images(options: argparse.Namespace) -> int:
    with connected() as client:
        for row in describe_images(client):
            say(row)
    return 0


def fetch_wheels(options: argparse.Namespace) -> int:
    for family in find_families(options.family):
        fetch_wheels_of(family, say, python=options.python, machine=options.machine)
    return 0


def check_image(options: argparse.Namespace) -> int:
    family = find_family(options.family)
    runtime, _ = choose_runtime("docker", [family])
    faults = check_golden_vectors(runtime, family, say)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


def clean_engine(options: argparse.Namespace) -> int:
    operations.clean_images(
        options.family, lambda lines, would: confirm(lines, would, options.yes), say
    )
    return 0


def doctor(options: argparse.Namespace) -> int:
    return show(diagnose(Layout.find(options.store).store))


def print_changed(options: argparse.Namespace) -> int:
    say(json.dumps(changed_families(options.since)))
    return 0


def print_stale(options: argparse.Namespace) -> int:
    say(json.dumps(stale_families()))
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingest.images", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, act: Callable[[argparse.Namespace], int], help: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(act=act)
        return sub

    def of_a_family(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub.add_argument("family", help="a family's name, or all")
        return sub

    sub = of_a_family(command("build", build_images, "build a family's image on the local engine"))
    sub.add_argument(
        "--base",
        default=os.environ.get("MATTERZOO_BASE"),
        help="base image (MATTERZOO_BASE; default: the Dockerfile's)",
    )
    sub.add_argument(
        "--builder",
        default=os.environ.get("MATTERZOO_BUILDER"),
        help="image to install in (MATTERZOO_BUILDER; default: the base)",
    )
    sub.add_argument(
        "--torch",
        default=os.environ.get("MATTERZOO_TORCH_BACKEND"),
        help="PyTorch's build: cpu, cu126, … (default: the index's own, CUDA)",
    )
    sub.add_argument(
        "--offline",
        action="store_true",
        help="without a network, from the wheels that `wheels` fetched",
    )
    sub.add_argument("--no-cache", action="store_true", help="build every layer again")
    sub = of_a_family(
        command("push", push_images, "push a family's image and record its digest in images.lock")
    )
    sub.add_argument("registry", help="such as ghcr.io/owner or 127.0.0.1:5000")
    sub = command("pull", pull_images, "pull the published image, by the digest in images.lock")
    sub.add_argument("--family", help="a family's name, or all")
    sub.add_argument("--model", help="a model's id: its family's image")
    command("list", list_images, "each family's image: here, published, stale")
    sub = of_a_family(
        command(
            "wheels",
            fetch_wheels,
            "download what an image is built from, for a build without a network",
        )
    )
    sub.add_argument("--python", default="3.11", help="the base image's Python (default: 3.11)")
    sub.add_argument(
        "--machine", help="the image's processor, such as x86_64, arm64 (default: this machine's)"
    )
    of_a_family(
        command("check", check_image, "compute a family's golden vectors in its image and compare")
    )
    sub = of_a_family(
        command(
            "clean",
            clean_engine,
            "remove our images and containers, and nothing else, from the engine",
        )
    )
    sub.add_argument("--yes", action="store_true", help="do not ask before all of them are removed")
    sub = command(
        "doctor", doctor, "what this machine can run models with, and the mend for what it cannot"
    )
    sub.add_argument(
        "--store", help="the DuckDB file (default: MATTERZOO_STORE, else matter.duckdb here)"
    )
    sub = command("changed", print_changed, "families whose image a change touches, as JSON")
    sub.add_argument("since", help="a revision of the repository")
    command(
        "stale", print_stale, "families with no published image, or one of an older recipe, as JSON"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 something failed, 2 something asked for is wrong, 130 interrupted."""
    options = build_parser().parse_args(arguments)
    try:
        listen()
        return int(options.act(options))
    except (CardError, NoRuntime, RequestError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `make images | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print(
            "interrupted; layers that are done are kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
