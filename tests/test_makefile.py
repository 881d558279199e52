"""The Makefile passes on what a user types, and refuses variables that a target does not know.

The real `make` runs the real Makefile; `.venv/bin/python` is replaced by a program that prints its
arguments.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.store import connect

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
SHOW = '#!/bin/sh\nprintf "%s\\0" "$@" "$MATTERZOO_STORE"\n'
SWITCHES = ("YES", "OFFLINE", "NO_PROMPT", "AGAIN", "DUMMY", "NUMBERED", "UNCOMMITTED")
ODD = [
    "$(touch broken)",
    "$$(touch broken)",
    "$(shell touch broken)",
    "`touch broken`",
    '";touch broken;"',
    "';touch broken;'",
    "a'b\"c",
    "$",
    "$1 $x ${HOME} c$",
    "two words",
    "two\nlines",
    "a,b)(",
    "a#b;c&d|e>broken",
    "\\",
    "-1",
    "*",
    "é",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, and a Python that shows its arguments."""
    folder = tmp_path / "checkout"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv" / "bin" / "python").write_text(SHOW)
    (folder / ".venv" / "bin" / "python").chmod(0o755)
    (folder / ".venv" / "installed").touch()
    return folder


def make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "MATTERZOO"))
    }
    return subprocess.run(
        ["make", *words],
        cwd=folder,
        env=mine | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def given(folder: Path, *words: str, **variables: str) -> tuple[list[str], str]:
    """What the program gets: its arguments, and the store's path."""
    done = make(folder, *words, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    *arguments, store = done.stdout.removesuffix("\0").split("\0")
    return arguments, store


@pytest.mark.parametrize("text", ODD)
def test_what_is_typed_is_handed_on_as_it_is(checkout: Path, text: str) -> None:
    words = ["ingest", f"MODEL={text}", f"DATASET={text}", f"VECTORS={text}", f"STORE={text}"]
    assert given(checkout, *words) == (
        ["-m", "matterzoo", "ingest", f"--vectors={text}", "--", text, text],
        text,
    )
    assert given(checkout, "query", f"SQL={text}")[0] == ["-m", "matterzoo", "query", "--", text]
    assert not list(checkout.glob("broken*"))


@pytest.mark.parametrize("text", ["$(shell touch broken)", "c$ '$(touch broken)' $1"])
def test_so_is_the_environment(checkout: Path, text: str) -> None:
    assert given(checkout, "query", SQL=text, MATTERZOO_STORE=text) == (
        ["-m", "matterzoo", "query", "--", text],
        text,
    )
    assert not (checkout / "broken").exists()


def test_a_name_in_the_environment_is_no_name_of_a_dataset(checkout: Path) -> None:
    words = ["plan", "MODEL=a", "DATASET=b"]
    assert given(checkout, *words, NAME="host")[0] == ["-m", "matterzoo", "plan", "--", "a", "b"]
    assert "--name=mine" in given(checkout, *words, "NAME=mine", NAME="host")[0]


def test_no_variable_of_any_target_reaches_a_shell(checkout: Path) -> None:
    text = (
        '$(shell touch broken) $(touch broken) `touch broken` ; touch broken ; " ; '
        "touch broken ; ' ; touch broken"
    )
    takes = dict(re.findall(r"^([a-z-]+)_takes +:= (.*)$", MAKEFILE, re.MULTILINE))
    assert len(takes) > 15
    for target, names in takes.items():
        known = names.replace("$(OPTIONS)", "DEVICE DTYPE").replace("$(CLUSTER)", "ON TIME").split()
        for name in known:
            others = (
                f"{other}={1 if other in SWITCHES else 'x'}" for other in known if other != name
            )
            done = make(checkout, target, *others, f"{name}={text}")
            assert not (checkout / "broken").exists(), (target, name)
            refused = f"{name}={text}: expected 1" if name in SWITCHES else "give one of them"
            assert done.returncode == 0 or refused in done.stderr, (target, name)


def test_sql_with_a_dollar_means_what_was_typed(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "python").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n'
    )
    connect(checkout / "matter.duckdb").close()
    sql = "SELECT regexp_matches('abc','c$') AS ends, 'cost $5' AS cost, $$it's$$ AS quoted"
    done = make(checkout, "query", f"SQL={sql}", "FORMAT=csv", PYTHONPATH=str(ROOT))
    assert (done.stdout, done.stderr) == ("ends,cost,quoted\ntrue,cost $5,it's\n", "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["report", "DATASET=a", "MODEL=b"],
            "`make report` does not know MODEL; it takes DATASET OUT.",
        ),
        (
            ["query", "SQL=a", "DATASET=b"],
            "`make query` does not know DATASET; it takes FORMAT OUT SQL.",
        ),
        (["list", "MODLE=a"], "`make list` does not know MODLE; it takes no variables of its own."),
        (
            ["ingest", "MODEL=a", "DATASET=b", "limit=3"],
            "`make ingest` does not know limit; it takes ACCOUNT ADDRESS AT_ONCE BATCH CPUS",
        ),
        (["clean", "DATASET=a"], "MODEL is missing: make clean MODEL=chgnet-0.3.0 DATASET=aflow"),
        (
            ["clean", "MODEL=a", "FAMILY=b"],
            "make clean takes MODEL or FAMILY, not both: give one of them",
        ),
        (
            ["pin", "MODEL=a", "DATASET=b"],
            "make pin takes MODEL or DATASET, not both: give one of them",
        ),
        (
            ["pull", "MODEL=a", "FAMILY=b"],
            "make pull takes MODEL or FAMILY, not both: give one of them",
        ),
        (["du", "PY=a"], "`make du` does not know PY"),
    ],
)
def test_variables_that_a_target_does_not_know_are_refused(
    checkout: Path, words: list[str], says: str
) -> None:
    done = make(checkout, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


@pytest.mark.parametrize("value", ["0", "no", "false", "1 0", "NO", "$(shell touch broken)", " "])
@pytest.mark.parametrize(
    "words",
    [
        ["clean", "MODEL=a", "YES"],
        ["clean", "YES"],
        ["ingest", "MODEL=a", "DATASET=b", "YES"],
        ["pin", "MODEL=a", "AGAIN"],
        ["build", "FAMILY=a", "OFFLINE"],
        ["check", "MODEL=a", "DUMMY"],
    ],
)
def test_a_switch_is_on_or_not_given(checkout: Path, words: list[str], value: str) -> None:
    *rest, switch = words
    named = (
        f"{switch} is given but empty"
        if value == " "
        else f"{switch}={value}: expected 1, or leave it out"
    )
    done = make(checkout, *rest, f"{switch}={value}")
    assert (
        (done.returncode, done.stdout) == (2, "")
        and named in done.stderr
        and done.stderr.count("\n") == 1
    )
    done = make(checkout, *rest, **{switch: value})
    assert (done.returncode, done.stdout) == (
        2,
        "",
    ) and f"{switch}={value}: expected 1" in done.stderr
    assert not (checkout / "broken").exists()
    for yes in ("1", "yes"):
        typed = given(checkout, *rest, f"{switch}={yes}")[0]
        assert typed == given(checkout, *rest, **{switch: yes})[0]
        assert typed.count(f"--{switch.lower()}") == 1
    assert given(checkout, *rest, **{switch: ""}) == given(checkout, *rest)


@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_a_variable_that_is_given_but_empty_is_refused(checkout: Path, value: str) -> None:
    takes = dict(re.findall(r"^([a-z-]+)_takes +:= (.*)$", MAKEFILE, re.MULTILINE))
    for target, names in {**takes, "du": "STORE PYTHON MATTERZOO_STORE"}.items():
        known = names.replace("$(OPTIONS)", "DEVICE LIMIT").replace("$(CLUSTER)", "ON TIME")
        for name in known.split():
            others = ["YES=1"] if "YES" in names and name != "YES" else []
            done = make(checkout, target, f"{name}={value}", *others)
            assert (done.returncode, done.stdout) == (2, ""), (target, name)
            assert f"{name} is given but empty: give it a value, or leave it out" in done.stderr
    assert given(checkout, "clean", MODEL="")[0] == ["-m", "matterzoo", "clean", "--images=all"]
    assert given(checkout, "du", "HF_TOKEN=")[0] == ["-m", "matterzoo", "du"]


def test_settings_of_the_programs_behind_are_taken_by_every_target(checkout: Path) -> None:
    settings = [
        "PYTHON=python3",
        "MATTERZOO_RUNTIME=venv",
        "HF_TOKEN=x",
        "OMP_NUM_THREADS=1",
        "https_proxy=x",
    ]
    assert given(checkout, "du", *settings, "MATTERZOO_STORE=y") == (["-m", "matterzoo", "du"], "y")
    assert given(checkout, "du", MODEL="a", NOISE="b") == (
        ["-m", "matterzoo", "du"],
        "matter.duckdb",
    )


def test_targets_pass_their_variables_on(checkout: Path) -> None:
    for words, arguments in {
        ("query", "SQL=a", "FORMAT=json", "OUT=b"): "query --format=json --out=b -- a",
        ("clean", "MODEL=a", "DATASET=b", "YES=1"): "clean --yes -- a b",
        ("clean", "MODEL=a"): "clean -- a",
        ("clean",): "clean --images=all",
        ("clean", "FAMILY=a", "YES=1"): "clean --images=a --yes",
        ("pull", "MODEL=a"): "pull --model=a",
        ("pull",): "pull -- all",
        ("push", "REGISTRY=a", "UNCOMMITTED=1"): "push --uncommitted -- all a",
        ("pin", "DATASET=a"): "pin --dataset=a",
        ("report", "DATASET=a", "OUT=b"): "report -- a b",
        ("site", "DATASET=a", "OUT=b"): "site -- a b",
        ("serve", "PORT=1", "PAGES=a"): "serve --port=1 --pages=a",
        ("check-image", "FAMILY=a"): "check-image -- a",
        ("check",): "check",
        ("check", "MODEL=a", "DUMMY=1"): "check --dummy -- a",
    }.items():
        assert given(checkout, *words)[0] == ["-m", "matterzoo", *arguments.split()]


def test_every_variable_that_help_names_is_taken() -> None:
    takes = {
        name: text.split()
        for name, text in re.findall(r"^([a-z-]+)_takes +:= (.*)$", MAKEFILE, re.MULTILINE)
    }
    groups = {
        f"$({name})": text.split()
        for name, text in re.findall(r"^(OPTIONS|CLUSTER) +:= (.*)$", MAKEFILE, re.MULTILINE)
    }
    for target, said in re.findall(r"^([a-z-]+):.*## (.*)$", MAKEFILE, re.MULTILINE):
        named = set(re.findall(r"(?<!then )\b([A-Z]+)=", said))
        taken = takes.get(target, [])
        assert named <= {
            *taken,
            *(name for group, names in groups.items() if group in taken for name in names),
        }, target
