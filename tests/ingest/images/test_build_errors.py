"""The error of a failed build names a way on; the outputs are those of pip, uv, git and apt."""

from __future__ import annotations

import pytest

from ingest.images.build_errors import explain_failed_build
from zoo.cards.discovery import load_families

FAMILY = load_families()["controls"]
STEP = "Step 8/40 : RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install uv==0.13.9"
ENDED = "The command '/bin/sh -c python3 -m venv /opt/uv' returned a non-zero code: 1"
UNTRUSTED = (
    "Could not fetch URL https://pypi.org/simple/uv/: There was a problem confirming the ssl "
    "certificate: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with url: "
    "/simple/uv/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] "
    "certificate verify failed: self-signed certificate in certificate chain (_ssl.c:992)')))",
    "  Caused by: invalid peer certificate: UnknownIssuer",
    "fatal: unable to access 'https://github.com/a/b/': server certificate verification failed. "
    "CAfile: none CRLfile: none",
)
UNREACHABLE = (
    "WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by "
    "'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object>: Failed to "
    "establish a new connection: [Errno 111] Connection refused')': /simple/uv/",
    "  Caused by: dns error: failed to lookup address information: Name or service not known",
    "fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com",
    "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure "
    "resolving 'deb.debian.org'",
    "fatal: unable to access 'https://github.com/a/b/': Failed to connect to github.com port 443 "
    "after 2 ms: Couldn't connect to server",
    "fatal: unable to access 'https://github.com/a/b/': CONNECT tunnel failed, response 403",
    "E: Failed to fetch http://deb.debian.org/debian/pool/main/g/git/git_2.deb  403  Forbidden",
    "E: Unable to locate package git",
    "  Caused by: HTTP status client error (403 Forbidden) for url (https://pypi.org/simple/ase/)",
)
UNSUITABLE = (
    "  cause: Because bibtexparser was not found in the provided package locations and you require "
    "bibtexparser==1.4.4, we can conclude that your requirements are unsatisfiable.",
    "hint: You require CPython 3.12 (`cp312`), but we only found wheels for `torch` (v2.13.0+cpu) "
    "with the following Python ABI tag: `cp311`",
    "ERROR: No matching distribution found for uv==0.13.9",
)


@pytest.mark.parametrize("line", UNTRUSTED)
def test_a_certificate_that_the_build_does_not_trust(line: str) -> None:
    told = explain_failed_build(FAMILY, ENDED, [STEP, line], offline=False)
    assert told.startswith("the image of controls could not be built: a step ended with exit code")
    assert "does not trust a server's certificate: --builder IMAGE (with make: BUILDER=)" in told
    assert "`matterzoo wheels controls`" in told and "OFFLINE=1" in told


@pytest.mark.parametrize("line", UNREACHABLE)
def test_a_server_that_cannot_be_reached(line: str) -> None:
    told = explain_failed_build(FAMILY, ENDED, [STEP, line], offline=False)
    assert told.splitlines()[-1].startswith("The build cannot reach a server: PIP_INDEX_URL names ")
    assert "BUILDER=" in told and "`matterzoo build controls --offline`" in told


@pytest.mark.parametrize("line", UNSUITABLE)
def test_wheels_that_are_not_those_that_a_build_needs(line: str) -> None:
    told = explain_failed_build(FAMILY, ENDED, [STEP, line], offline=True)
    assert "`matterzoo wheels controls` downloads what is missing; its --python" in told
    assert "--builder" not in told


def test_only_the_step_that_failed_is_looked_at() -> None:
    earlier = ["Step 7/40 : COPY wheels/shared/ /wheels/", UNREACHABLE[0], STEP, "no such option"]
    told = explain_failed_build(FAMILY, ENDED, earlier, offline=False)
    assert told.splitlines()[-1] == "  no such option"
    offline = explain_failed_build(FAMILY, ENDED, [STEP, UNREACHABLE[1]], offline=True)
    assert "--builder" not in offline


def test_a_long_output_is_shown_by_its_ends() -> None:
    lines = [f"line {i}" for i in range(100)]
    full = explain_failed_build(FAMILY, "write /x: no space left on device", lines, offline=True)
    shown = full.splitlines()
    assert [shown[1], shown[9], shown[-2]] == ["  line 0", "  …", "  line 99"]
    assert shown[-1].startswith("The engine's disk is full: `matterzoo clean --images all`")
