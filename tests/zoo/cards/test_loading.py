"""Every fault of a family's files is listed at once, and pins are merged into its cards."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from zoo.cards.base import CardError
from zoo.cards.discovery import load_families
from zoo.cards.loading import load_family

TOML_HUB = (
    'weights = { source = "hub", repo = "a/b", revision = "%s", format = "pickle", '
    'files = [{ path = "c" }] }'
)
PIN = {"sha256": "1" * 64, "size": 7}


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_every_fault_of_both_files_is_listed_at_once(family: Path) -> None:
    spoil(family / "family.toml", 'homepage = "https', 'color = "red"\nhomepage = "http')
    spoil(family / "family.toml", "installed_mb = 250", "installed_mb = 0")
    spoil(family / "models.toml", 'input = "structure"', 'input = "crystal"')
    spoil(family / "models.toml", "dimension = 118", "dimension = -1")
    spoil(family / "models.toml", "\n[[model]]", "\n[extra]\n[[model]]")
    with pytest.raises(CardError, match=r"family toy: 6 faults in its cards") as error:
        load_family(family)
    for fault in (
        r"models.toml: unknown key 'extra', expected [[model]] or [defaults]",
        r"color: Extra inputs are not permitted (got 'red')",
        r"homepage: String should match pattern '^https://' (got 'http://example.org/toy')",
        r"installed_mb: Input should be greater than 0 (got 0)",
        r"models.0.input: Input should be 'structure', 'smiles', 'selfies',",
        r"models.0.representation.0.dimension: Input should be greater than 0 (got -1)",
    ):
        assert fault in str(error.value)


@pytest.mark.parametrize("key", ["path", "models"])
def test_keys_that_only_code_may_set_are_refused(family: Path, key: str) -> None:
    spoil(family / "family.toml", 'name = "toy"', f'name = "toy"\n{key} = "x"')
    with pytest.raises(CardError, match=f"family.toml: unknown key '{key}'"):
        load_family(family)


@pytest.mark.parametrize("name", ["toy-other", "toy-composition@untrained"])
def test_the_demo_takes_what_needs_no_download(family: Path, name: str) -> None:
    spoil(family / "family.toml", "installed_mb", 'demo = ["toy-composition"]\ninstalled_mb')
    assert load_family(family).demo == ("toy-composition",)
    spoil(family / "family.toml", '["toy-composition"]', f'["{name}"]')
    with pytest.raises(CardError, match=f"demo: Value error, '{name}' is neither a model of this"):
        load_family(family)


def test_a_family_is_named_like_its_folder(family: Path) -> None:
    spoil(family / "family.toml", 'name = "toy"', 'name = "joy"')
    with pytest.raises(CardError, match="name: 'joy' is not the name of its folder, 'toy'"):
        load_family(family)


def test_a_file_that_is_not_toml_is_named(family: Path) -> None:
    (family / "models.toml").write_text("[[model]\n")
    with pytest.raises(CardError, match=r"family toy: .*models.toml cannot be read: .*line 1"):
        load_family(family)
    (family / "models.toml").unlink()
    with pytest.raises(CardError, match=r"models.toml cannot be read: .*No such file"):
        load_family(family)


def test_a_pin_that_contradicts_the_card_is_a_fault(family: Path) -> None:
    spoil(family / "models.toml", 'weights = { source = "none" }', TOML_HUB % ("1" * 40))
    (family / "weights.lock").write_text(json.dumps({"a/b": {"revision": "2" * 40, "files": {}}}))
    with pytest.raises(
        CardError, match=f"models.toml says revision {'1' * 40}, but weights.lock says {'2' * 40}"
    ):
        load_families()
    (family / "weights.lock").write_text(
        json.dumps({"a/b": {"revision": "1" * 40, "files": {"c": PIN}}})
    )
    [model] = load_families()["toy"].models
    assert model.weights.files[0].sha256 == "1" * 64
    (family / "weights.lock").write_text("[]")
    with pytest.raises(
        CardError, match="weights.lock cannot be read: .*`matterzoo pin MODEL` writes it"
    ):
        load_families()


def test_torch_is_named_where_requirements_name_it() -> None:
    for family in load_families().values():
        named = "torch==" in (family.path / "requirements.in").read_text().replace("torch-", "")
        assert (family.torch is not None) == named
        assert family.torch is None or re.fullmatch(r"torch==[0-9.]+", family.torch)
