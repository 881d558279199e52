"""What stands in for the program Apptainer, which cannot be had where these tests are written.

It knows the commands and options that matterzoo gives, and refuses any other. Its SIF is a copy of
the archive of the image. What it starts are real workers:

- in the image, unpacked, by Charliecloud's `ch-run` and as a user without privileges, if
  STAND_IN_CH_RUN is set;
- else in the local environment of STAND_IN_PYTHON, with the names of folders translated.

STAND_IN_LOG names a file that takes every command line. STAND_IN_REGISTRY names the archive that
any `docker://…` gives. STAND_IN_REFUSES is an option that it fails at, as a site may have it. A
build takes STAND_IN_BUILDS_FOR seconds more.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

NOBODY = "65534"
PREFIX = "APPTAINERENV_"
MOST = 8  # jobs of a worker
ENTRYPOINT = ["/env/bin/python", "-P", "-m", "zoo.worker", "--family", "/matterzoo/family"]


def main() -> None:
    arguments = sys.argv[1:]
    if "STAND_IN_LOG" in os.environ:
        with Path(os.environ["STAND_IN_LOG"]).open("a") as log:
            log.write(json.dumps(arguments) + "\n")
    if os.environ.get("STAND_IN_REFUSES") in arguments:
        fail("this site does not allow that")
    options = parser().parse_args(arguments)
    options.act(options)


def fail(message: str) -> NoReturn:
    print(f"FATAL:   {message}", file=sys.stderr)
    sys.exit(255)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="apptainer", allow_abbrev=False)
    top.add_argument("--version", action="version", version="apptainer version 0.0.0-stand-in")
    commands = top.add_subparsers(required=True)
    build = commands.add_parser("build", allow_abbrev=False)
    build.set_defaults(act=make)
    build.add_argument("--disable-cache", action="store_true")
    build.add_argument("--sandbox", action="store_true")
    build.add_argument("target", type=Path)
    build.add_argument("source")
    inspect = commands.add_parser("inspect", allow_abbrev=False)
    inspect.set_defaults(act=show_labels)
    for flag in ("--json", "--labels"):
        inspect.add_argument(flag, action="store_true", required=True)
    inspect.add_argument("image", type=Path)
    start = commands.add_parser("exec", allow_abbrev=False)
    start.set_defaults(act=run)
    for flag in ("--containall", "--cleanenv", "--no-home", "--no-privs"):
        start.add_argument(flag, action="store_true", required=True)
    for flag in ("--nv", "--net"):
        start.add_argument(flag, action="store_true")
    for option in ("--network", "--workdir", "--pwd"):
        start.add_argument(option)
    start.add_argument("--mount", action="append", default=[])
    start.add_argument("image", type=Path)
    start.add_argument("command", nargs=argparse.REMAINDER)
    return top


def make(options: argparse.Namespace) -> None:
    time.sleep(float(os.environ.get("STAND_IN_BUILDS_FOR", "0")))
    form, _, name = options.source.rpartition(":")
    if options.target.exists():
        fail(f"{options.target} exists")
    if options.sandbox:
        unpack(Path(options.source), options.target)
        return
    if options.source.startswith("docker://"):
        name = os.environ.get("STAND_IN_REGISTRY") or fail(f"{options.source}: no such host")
    elif form not in ("docker-archive", "oci-archive"):
        fail(f"{options.source} is no source")
    shutil.copyfile(name, options.target)


def manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    (image,) = json.load(tar.extractfile("manifest.json") or fail("no manifest"))
    found: dict[str, Any] = image
    return found


def show_labels(options: argparse.Namespace) -> None:
    with tarfile.open(options.image) as tar:
        content = json.load(tar.extractfile(manifest(tar)["Config"]) or fail("no configuration"))
    print(json.dumps({"data": {"attributes": {"labels": content["config"]["Labels"]}}}))


def unpack(sif: Path, target: Path) -> None:
    """Unpack the layers of an image, with the folders that others are mounted over."""
    target.mkdir(mode=0o755)
    with tarfile.open(sif) as tar:
        for name in manifest(tar)["Layers"]:
            with tarfile.open(fileobj=tar.extractfile(name)) as layer:
                layer.extractall(target, filter="tar")
    for number in range(MOST):
        for place in ("job", "out", "weights"):
            (target / place / str(number)).mkdir(parents=True, exist_ok=True)


def run(options: argparse.Namespace) -> None:
    if not options.image.exists():
        fail(f"{options.image} is not there")
    if "APPTAINER_BIND" in os.environ:
        fail(f"{os.environ['APPTAINER_BIND']} cannot be mounted")
    if options.command == ["true"]:
        return
    mounts = {}
    for text in options.mount:
        (fields,) = csv.reader([text])
        given = dict(field.split("=", 1) for field in fields if "=" in field)
        mounts[given["destination"]] = given["source"]
    home, *command = options.command[1:]
    if options.command[0] != "env" or home != "HOME=/tmp" or command[:6] != ENTRYPOINT:
        fail(f"{options.command} is not what starts a worker")
    variables = {n.removeprefix(PREFIX): v for n, v in os.environ.items() if n.startswith(PREFIX)}
    if "STAND_IN_CH_RUN" in os.environ:
        start_with_charliecloud(options, mounts, variables)
    start_here(command[6:], mounts, variables)


def start_with_charliecloud(
    options: argparse.Namespace, mounts: dict[str, str], variables: dict[str, str]
) -> NoReturn:
    """Become the worker in the image, as nobody, who owns none of the folders."""
    words = ["--private-tmp", "--cd=/tmp", "--unset-env=*", "--set-env=PYTHONPATH=/matterzoo"]
    words += [f"--set-env={name}={value}" for name, value in variables.items()]
    for inside, outside in mounts.items():
        words += ["--bind", f"{outside}:{inside}"]
        if inside.startswith("/out/"):
            log = Path(outside, "worker.log")  # which the host opens, too
            log.touch()
            log.chmod(0o666)
            Path(outside).chmod(0o777)
    words += ["--set-env=PATH=/env/bin:/usr/bin:/bin"]
    os.environ["USER"] = "nobody"  # ch-run wants one
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = [os.environ["STAND_IN_CH_RUN"], *words, str(options.image), "--", *options.command]
    os.execvp(become[0], [*become, *command])


def start_here(words: list[str], mounts: dict[str, str], variables: dict[str, str]) -> NoReturn:
    """Start a worker in a local environment, and translate what it is assigned."""
    python = [os.environ["STAND_IN_PYTHON"], *ENTRYPOINT[1:-1], os.environ["STAND_IN_FAMILY"]]
    variables |= {"PYTHONPATH": os.environ["PYTHONPATH"], "PATH": os.environ["PATH"]}
    with subprocess.Popen([*python, *words], env=variables, stdin=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        threading.Thread(target=translate, args=(worker.stdin, mounts), daemon=True).start()
        code = worker.wait()
        sys.stdout.flush()
        os._exit(code if code >= 0 else 128 - code)


def translate(pipe: Any, mounts: dict[str, str]) -> None:
    for line in sys.stdin.buffer:
        found = json.loads(line)
        for name in ("job", "out"):
            found[name] = mounts[found[name]]
        pipe.write(json.dumps(found).encode() + b"\n")
        pipe.flush()
    pipe.close()


if __name__ == "__main__":
    main()
