"""Where things lie, in a checkout and for an installed program, with real copies of the tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.places import ROOT

ASK = """
import json
from zoo import places
from ingest.images.recipe import default_base, dockerfile, git
names = "environments", "wheels", "user_cache", "user_settings", "worker_imports"
found = {name: getattr(places, name)() for name in names}
found |= {"digests": places.image_digests(places.FAMILIES), "dockerfile": dockerfile()}
found |= {"pins": places.weights_pins(places.FAMILIES / "x")}
found |= {"base": default_base(), "revision": git("rev-parse", "HEAD")}
print(json.dumps(found, default=str))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages of the program, with one family, in a folder of their own."""
    folder = tmp_path / "site-packages"
    unwanted = shutil.ignore_patterns("__pycache__", "*.parquet", "tests")
    shutil.copytree(ROOT / "ingest", folder / "ingest", ignore=unwanted)
    families = {path.name for path in (ROOT / "zoo" / "families").iterdir()} - {"controls"}

    def ignore(path: str, names: list[str]) -> set[str]:
        return set(unwanted(path, names)) | (families if path.endswith("families") else set())

    shutil.copytree(ROOT / "zoo", folder / "zoo", ignore=ignore)
    shutil.copytree(ROOT / "schemas", folder / "schemas", ignore=unwanted)
    return folder


def run(folder: Path, home: Path, code: str, **variables: str) -> str:
    """What a Python prints that imports from the folder, in a home of its own."""
    kept = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=kept | variables, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_a_checkout_everything_lies_in_it(copy: Path, home: Path) -> None:
    (copy / "pyproject.toml").touch()
    shutil.copy(ROOT / "Dockerfile", copy / "Dockerfile")
    found = json.loads(run(copy, home, ASK))
    assert found["environments"] == str(copy / ".envs")
    assert found["wheels"] == str(copy / "wheels")
    assert found["digests"] == str(copy / "zoo" / "images.lock")
    assert found["pins"] == str(copy / "zoo" / "families" / "x" / "weights.lock")
    assert found["dockerfile"] == str(copy / "Dockerfile")
    assert found["worker_imports"] == str(copy)
    assert found["base"].startswith("python:3.11")
    assert list(home.iterdir()) == []


def test_an_installed_program_writes_to_the_users_folders(copy: Path, home: Path) -> None:
    shutil.copy(ROOT / "Dockerfile", copy / "ingest" / "images" / "Dockerfile")
    subprocess.run(["git", "init", "--quiet"], cwd=copy.parent, check=True)  # somebody else's
    before = sorted(copy.rglob("*"))
    found = json.loads(run(copy, home, ASK, PYTHONDONTWRITEBYTECODE="1"))
    assert found["environments"] == str(home / ".cache" / "matterzoo" / "environments")
    assert found["wheels"] == str(home / ".cache" / "matterzoo" / "wheels")
    assert found["digests"] == str(home / ".config" / "matterzoo" / "images.lock")
    assert found["pins"] == str(home / ".config" / "matterzoo" / "weights" / "x.lock")
    assert found["dockerfile"] == str(copy / "ingest" / "images" / "Dockerfile")
    assert found["base"].startswith("python:3.11")
    assert found["revision"] is None
    assert sorted(copy.rglob("*")) == before


def test_variables_name_other_folders(copy: Path, home: Path) -> None:
    shutil.copy(ROOT / "Dockerfile", copy / "ingest" / "images" / "Dockerfile")
    variables = {
        "XDG_CACHE_HOME": str(home / "c"),
        "XDG_CONFIG_HOME": str(home / "s"),
        "MATTERZOO_WHEELS": "relative",
    }
    found = json.loads(run(copy, home, ASK, **variables))
    assert found["environments"] == str(home / "c" / "matterzoo" / "environments")
    assert found["digests"] == str(home / "s" / "matterzoo" / "images.lock")
    assert found["wheels"] == str(home / "relative")
    named = {"MATTERZOO_ENVS": str(home / "e"), "MATTERZOO_IMAGES": str(home / "i.lock")}
    found = json.loads(run(copy, home, ASK, **named))
    assert (found["environments"], found["digests"]) == (str(home / "e"), str(home / "i.lock"))


def test_a_worker_of_an_installed_program_imports_no_package_of_the_host(
    copy: Path, home: Path
) -> None:
    shutil.copy(ROOT / "Dockerfile", copy / "ingest" / "images" / "Dockerfile")
    for _ in range(2):  # the second time it is there already
        folder = Path(json.loads(run(copy, home, ASK))["worker_imports"])
    assert [path.name for path in folder.iterdir()] == ["zoo"]
    (copy / "of_the_host.py").touch()
    run(copy, home, "import of_the_host")
    run(folder, home, "import zoo.encoder")
    with pytest.raises(AssertionError, match="No module named 'of_the_host'"):
        run(folder, home, "import of_the_host")


def test_digests_that_a_wheel_carries_are_read_and_those_of_the_user_written(
    copy: Path, home: Path
) -> None:
    entry = {"image": "example.org/x", "digest": "sha256:1", "recipe": "0", "revision": None}
    (copy / "zoo" / "images.lock").write_text(json.dumps({"controls": entry}))
    code = """
from ingest.images.digests import Published, published, record
from zoo.cards.discovery import find_family
family = find_family("controls")
print(published(family).digest)
record(family, Published("example.org/x", "sha256:2", "0", None))
print(published(family).digest)
"""
    assert run(copy, home, code).split() == ["sha256:1", "sha256:2"]
    assert json.loads((copy / "zoo" / "images.lock").read_text()) == {"controls": entry}
    assert (home / ".config" / "matterzoo" / "images.lock").is_file()


def test_pins_that_a_wheel_carries_are_read_and_those_of_the_user_added(
    copy: Path, home: Path
) -> None:
    """What is carried wins, and a card that says otherwise by now does so over the user's file."""
    code = """
import json
from zoo.cards.discovery import find_model
from zoo.cards.scaffold import write_family
from zoo.places import FAMILIES, weights_pins
from zoo.weights.errors import WeightsError
from zoo.weights.pins import pin

folder = write_family("toy", FAMILIES)
card, none = folder / "models.toml", 'weights = { source = "none" }'
files = 'files = [{ path = "a" }, { path = "b" }]'
hub = f'weights = {{ source = "hub", repo = "o/n", format = "zip", {files} }}'
card.write_text(card.read_text().replace(none, hub))

def pins(**files):
    sized = {path: {"sha256": letter * 64, "size": 1} for path, letter in files.items()}
    return json.dumps({"o/n": {"revision": "0" * 40, "files": sized}})

def show():
    weights = find_model("toy-composition").model.weights
    first = [value and value[0] for value in (weights.revision, *(f.sha256 for f in weights.files))]
    print(*first)

own = weights_pins(folder)
own.parent.mkdir(parents=True)
own.write_text(pins(a="1", b="1"))
show()
(folder / "weights.lock").write_text(pins(a="2"))
show()
try:
    pin(find_model("toy-composition"), print, again=True)
except WeightsError as error:
    print("carried" if "which matterzoo carries, and --again moves only" in str(error) else error)
card.write_text(card.read_text().replace('repo = "o/n"', f'repo = "o/n", revision = "{"3" * 40}"'))
(folder / "weights.lock").unlink()
show()
"""
    assert run(copy, home, code).splitlines() == ["0 1 1", "0 2 1", "carried", "3 None None"]
