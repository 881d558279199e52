"""The error of a failed build: the step that failed, its output in short, and what may help."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zoo.cards.family import Family

EXCERPT = 8  # lines that an error shows of how a failed step began, and of how it ended
COLOR = re.compile(r"\x1b\[[0-9;]*m")
# How Docker and Podman announce a step of a build.
STEP = re.compile(r"(\[\d+/\d+\] )?STEP \d+/\d+ ?: (FROM|COPY|RUN) .{0,80}", re.IGNORECASE)
# Docker's error repeats the whole command, which the log already shows.
COMMAND = re.compile(r"The command '.*' returned a non-zero code", re.DOTALL)
# What pip, uv, git and apt say if they do not know who signed a server's certificate.
UNTRUSTED = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|UnknownIssuer|"
    r"certificate verification failed|self[- ]signed certificate|"
    r"unable to get local issuer certificate",
    re.IGNORECASE,
)
# What they say if a server cannot be reached, or a proxy or a firewall is between.
UNREACHABLE = re.compile(
    r"Temporary failure (in name resolution|resolving)|Name or service not known|dns error|"
    r"Could not resolve|Connection refused|Network is unreachable|No route to host|"
    r"(Connection( attempt)?|operation) timed out|ConnectTimeout|Read timed out|"
    r"(Could not|Couldn't|Failed to|Cannot) connect to|Unable to connect|Connection reset|"
    r"error sending request|error trying to connect|Tunnel (connection )?failed|"
    r"from proxy after CONNECT|returned error: 403|403 +\(?Forbidden|407 +\(?Proxy Auth|"
    r"Unable to locate package|has no installation candidate|apt-get: (command )?not found",
    re.IGNORECASE,
)
# What our Dockerfile says if the base image of a build without a network lacks Debian's packages.
LACKING = "the base image lacks"
# What uv and pip say if the wheels that are here do not do.
UNSUITABLE = re.compile(
    r"provided package locations|index lookups were disabled|but we only found wheels for|"
    r"No matching distribution found",
    re.IGNORECASE,
)


def explain_failed_build(
    family: Family, error: str, output: Sequence[str], *, offline: bool
) -> str:
    """Return the error, how the step that failed began and ended, and what may help.

    Args:
        family: The family of the image.
        error: The engine's own error.
        output: The lines that the build printed until then.
        offline: Whether it was built without a network.
    """
    last = max((i for i, line in enumerate(output) if STEP.match(line)), default=-1)
    lines = [COLOR.sub("", line) for line in output[last + 1 :]]
    noise = (" --->", "Removing intermediate")
    lines = [line for line in lines if line.strip() and not line.startswith(noise)]
    remedy = _remedy(family, "\n".join([error, *lines]), offline=offline)
    if len(lines) > 2 * EXCERPT:
        lines = [*lines[:EXCERPT], "…", *lines[-EXCERPT:]]
    cause = COMMAND.sub("a step ended with exit code", error)
    parts = [f"the image of {family.name} could not be built: {cause}"]
    parts += [f"  {line}" for line in [*output[last : last + 1], *lines]]
    return "\n".join(parts + ([remedy] if remedy else []))


def _remedy(family: Family, said: str, *, offline: bool) -> str | None:
    """Return what may help against a failure that has a known cause."""
    if "no space left" in said.lower():
        remedy = "`matterzoo clean --images all` removes every image of matterzoo"
        return f"The engine's disk is full: {remedy}"
    if offline and LACKING in said:
        return (
            "A build without a network takes Debian's packages from the base image: --base IMAGE "
            "(with make: BASE=) names one that has them, such as python:3.11-bookworm"
        )
    if offline:
        return _offline_remedy(family) if UNSUITABLE.search(said) else None
    wheels = (
        f"`matterzoo wheels {family.name}` downloads with this machine's own settings, and "
        f"`matterzoo build {family.name} --offline` then needs no network (with make: `make "
        f"wheels`, and OFFLINE=1)"
    )
    if UNTRUSTED.search(said):
        return (
            "The build does not trust a server's certificate: --builder IMAGE (with make: "
            "BUILDER=) installs the packages in an image that has this machine's certificates; or "
            f"{wheels}"
        )
    if UNREACHABLE.search(said):
        return (
            "The build cannot reach a server: PIP_INDEX_URL names a mirror of the package index, "
            "and --builder IMAGE (with make: BUILDER=) an image that has what the index does not "
            f"have, such as git; or {wheels}"
        )
    return None


def _offline_remedy(family: Family) -> str:
    return (
        f"The wheels of {family.name} are not those that this build needs: `matterzoo wheels "
        f"{family.name}` downloads what is missing; its --python names the minor version of "
        "another base image's Python, its --machine another processor"
    )
