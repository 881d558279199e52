"""The workflows: what they may do, that what they run exists, and what two linters say of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ingest.images.digests import Published, record
from zoo.cards.discovery import load_families
from zoo.cards.loading import load_family

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = {file.stem: file.read_text() for file in FILES}
WORKFLOWS = {name: YAML(typ="safe").load(text) for name, text in TEXTS.items()}
ZIZMOR = Path(sysconfig.get_path("scripts"), "zizmor")
ACTIONLINT = "go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

every_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def jobs(name: str) -> dict[str, dict[str, Any]]:
    return WORKFLOWS[name]["jobs"]


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in jobs(name).values() for step in job["steps"]]


def lines(name: str) -> list[str]:
    return [line.strip() for step in steps(name) for line in step.get("run", "").splitlines()]


def test_there_are_workflows() -> None:
    assert {"test", "images", "publish", "site"} <= set(WORKFLOWS)


@every_workflow
def test_begins_with_what_why_and_when(name: str) -> None:
    comment = TEXTS[name].partition("\nname: ")[0]
    assert re.fullmatch(r"# What: .*\n# Why: .*\n# When: .*", comment, re.DOTALL)
    assert all(line.startswith("# ") for line in comment.splitlines())


@every_workflow
def test_has_limits(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert "concurrency" in WORKFLOWS[name]
    assert all(
        job["timeout-minutes"] <= 120 and "permissions" in job for job in jobs(name).values()
    )


def may(job: dict[str, Any], how: str) -> set[str]:
    return {what for what, granted in job["permissions"].items() if granted == how}


def test_only_a_tag_or_a_release_gives_a_token_that_may_write() -> None:
    writing = {name for name in WORKFLOWS if any(may(job, "write") for job in jobs(name).values())}
    assert writing == {"publish", "site"}
    assert WORKFLOWS["publish"]["on"] == {"push": {"tags": ["v*"]}}
    by_hand = {"workflow_dispatch": None}  # only who may write to the repository can do that
    assert WORKFLOWS["site"]["on"] == {"release": {"types": ["published"]}, **by_hand}


def test_the_job_that_publishes_the_site_runs_no_code_of_ours() -> None:
    assert {name: may(job, "write") for name, job in jobs("site").items()} == {
        "write": set(),
        "publish": {"pages", "id-token"},
    }
    (step,) = jobs("site")["publish"]["steps"]
    assert set(step) == {"uses", "id"} and step["uses"].startswith("actions/deploy-pages@")


def test_writing_to_packages_and_to_the_repository_are_two_jobs() -> None:
    writing = {name: may(job, "write") for name, job in jobs("publish").items()}
    assert writing == {
        "stale": set(),
        "push": {"packages"},
        "propose": {"contents", "pull-requests"},
    }


def test_the_job_that_proposes_runs_no_code_of_a_checkout() -> None:
    scripts = [step.get("run", "") for step in jobs("publish")["propose"]["steps"]]
    words = {word for script in scripts for word in re.findall(r"^\w+", script, re.MULTILINE)}
    assert words == {"touch", "jq", "mv", "git", "gh", "opened", "if", "fi"}


def test_nothing_is_pushed_that_its_golden_check_did_not_pass() -> None:
    runs = [step.get("run", "") for step in jobs("publish")["push"]["steps"]]
    made = [run.split()[1] for run in runs if run.startswith("make ")]
    assert made == ["install", "build", "check-image", "push"]


@every_workflow
def test_no_trigger_gives_foreign_code_more_than_it_would_have(name: str) -> None:
    triggers = {"push", "pull_request", "schedule", "workflow_dispatch", "release"}
    assert set(WORKFLOWS[name]["on"]) <= triggers
    assert re.findall(r"secrets\W", TEXTS[name]) == []


@every_workflow
def test_actions_are_pinned_by_commit_and_say_their_version(name: str) -> None:
    found = re.findall(r"uses: (.*)", TEXTS[name])
    assert len(found) == sum("uses" in step for step in steps(name)) > 0
    assert [
        use
        for use in found
        if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)
    ] == []


def test_an_action_has_one_pin() -> None:
    used = {step["uses"] for name in WORKFLOWS for step in steps(name) if "uses" in step}
    assert len(used) == len({use.partition("@")[0] for use in used})


@every_workflow
def test_a_checkout_leaves_no_token_behind(name: str) -> None:
    checkouts = [
        step for step in steps(name) if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def make_lines() -> Iterator[str]:
    """'build FAMILY= BASE=': each use of make, its variables without their values."""
    for name in WORKFLOWS:
        for line in lines(name):
            if line.startswith("make "):
                yield re.sub(r'=("[^"]*"|\S+)', "=", line.removeprefix("make "))


@pytest.mark.parametrize("line", sorted(set(make_lines())))
def test_make_knows_the_target_and_uses_its_variables(line: str) -> None:
    target, *variables = [word.rstrip("=") for word in line.split()]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", "--dry-run", target, *(f"{name}=given-{name}" for name in variables)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [name for name in variables if re.search(rf"\${{?{name}\b", done.stdout) is None] == []


@every_workflow
def test_no_variable_that_make_is_given_may_be_empty(name: str) -> None:
    """Make refuses `BASE=`; what may be empty is a variable of the environment."""
    given = "\n".join(line for line in lines(name) if line.startswith("make "))
    environments = [
        place.get("env", {}) for place in (*jobs(name).values(), *steps(name), WORKFLOWS[name])
    ]
    empty = {key for env in environments for key, value in env.items() if "|| ''" in str(value)}
    assert [key for key in empty if re.search(rf'="\${{?{key}\b', given)] == []


COMMANDS = {
    tuple(found)
    for name in WORKFLOWS
    for line in lines(name)
    for found in re.findall(r"-m (matterzoo|tests\.\w+) ([\w-]+)", line)
}


@pytest.mark.parametrize("command", sorted(COMMANDS), ids=" ".join)
def test_python_knows_the_command(command: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("since", ["", "0" * 40], ids=["a schedule", "a new branch"])
def test_compared_with_nothing_every_family_is_new(since: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    bash(
        run_of("images", "changed", "Compare the recipes"),
        ROOT,
        SINCE=since,
        GITHUB_OUTPUT=str(output),
    )
    name, _, families = output.read_text().rstrip("\n").partition("=")
    assert (name, sorted(json.loads(families))) == ("families", sorted(load_families()))


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq on the PATH")
def test_joined_entries_are_what_one_push_after_the_other_would_record(tmp_path: Path) -> None:
    tagged, main, expected = (tmp_path / name for name in ("tagged", "main", "expected"))
    first, second, third = sorted(load_families())[:3]
    push(tagged, second, "old")
    push(main, third, "merged since the tag")
    push(expected, third, "merged since the tag")
    for name in (second, first):
        checkout = tmp_path / f"push-{name}"
        shutil.copytree(tagged, checkout)
        push(checkout, name, "new")
        bash(run_of("publish", "push", "Take its entry"), checkout, FAMILY=name)
        (main / "entries").mkdir(exist_ok=True)
        shutil.move(checkout / f"{name}.json", main / "entries")
        push(expected, name, "new")
    bash(run_of("publish", "propose", "Join the entries"), main)
    assert (main / "zoo" / "images.lock").read_text() == (
        expected / "zoo" / "images.lock"
    ).read_text()


def push(checkout: Path, name: str, said: str) -> None:
    """Record a digest as `make push` does."""
    folder = checkout / "zoo" / name
    if not folder.exists():
        shutil.copytree(ROOT / "zoo" / "families" / name, folder)
    record(
        load_family(folder),
        Published(**{field.name: f"{said} {field.name}" for field in fields(Published)}),
    )


def run_of(workflow: str, job: str, name: str) -> str:
    return next(
        str(step["run"]) for step in jobs(workflow)[job]["steps"] if step.get("name") == name
    )


def bash(script: str, folder: Path, **environment: str) -> None:
    subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=os.environ | environment, check=True
    )


def zizmor(folder: Path) -> list[str]:
    """What zizmor finds, everything it can without a network."""
    options = [
        "--offline",
        "--no-config",
        "--quiet",
        "--persona",
        "auditor",
        "--strict-collection",
        "--format",
        "json",
    ]
    done = subprocess.run([ZIZMOR, *options, folder], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return [f"{found['ident']}: {found['desc']}" for found in json.loads(done.stdout)]


def test_zizmor_finds_nothing() -> None:
    assert zizmor(ROOT / ".github") == []


@pytest.mark.parametrize(
    ("good", "bad", "finding"),
    [
        ("persist-credentials: false", "persist-credentials: true", "artipacked"),
        ("permissions: {}", "permissions: write-all", "excessive-permissions"),
        ('FAMILY="$FAMILY"', 'FAMILY="${{ matrix.family }}"', "template-injection"),
    ],
)
def test_zizmor_would_find(good: str, bad: str, finding: str, tmp_path: Path) -> None:
    text = TEXTS["images"]
    assert good in text
    (tmp_path / "images.yml").write_text(text.replace(good, bad))
    assert any(found.startswith(finding) for found in zizmor(tmp_path / "images.yml"))


@pytest.mark.skipif(
    shutil.which("actionlint") is None, reason=f"needs actionlint on the PATH: `{ACTIONLINT}`"
)
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(
        ["actionlint", *FILES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_tests_workflow_installs_that_actionlint() -> None:
    assert ACTIONLINT in lines("test")
