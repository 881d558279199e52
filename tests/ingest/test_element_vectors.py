"""Published vectors of elements become imported models over the atoms."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

from ingest.commands.element_vectors import SETS, import_sets
from ingest.layout import Layout
from ingest.runs.import_vectors import check_model_id
from ingest.sources.shared.source import Source
from schemas.store import connect
from zoo.command_line import UsageError

WHEEL = "vectors-1-py3-none-any.whl"
FACTS = """
name = "elementvectors"
title = "Vectors of elements"
description = "Three elements"
homepage = "https://example.org"
citation = "Nobody"
license = { name = "MIT", url = "https://example.org/LICENSE", commercial = true }
file = [{ path = "WHEEL", url = "https://example.org/WHEEL", sha256 = "SHA256" }]

[options]
folder = "data"

[options.sets]
element-a = { file = "a.csv", title = "A", license = "BSD-3-Clause" }
element-b = { file = "b.json", title = "B" }
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A wheel like that of ElementEmbeddings, which a user has put into the folder."""
    monkeypatch.setenv("MATTERZOO_DATASETS", str(tmp_path / "datasets"))
    wheel = tmp_path / "datasets" / "elementvectors" / WHEEL
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("data/a.csv", "element,0,1\nFe,0.5,-1\nH,2,3\nGaGe,1,1\n")
        archive.writestr("data/b.json", json.dumps({"Null": [0, 0, 0], "Og": [1, 2.25, 3]}))
    facts = tmp_path / "sets.toml"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    facts.write_text(FACTS.replace("WHEEL", WHEEL).replace("SHA256", digest))
    return Source.load(facts)


def test_each_set_becomes_a_model_over_the_atoms(source: Source, tmp_path: Path) -> None:
    layout, lines = Layout(tmp_path / "matter.duckdb"), list[str]()
    import_sets(layout, source, [], log=lines.append)
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(
            "SELECT model_id, system_id, vector FROM embeddings ORDER BY ALL"
        ).fetchall()
        models = connection.execute(
            "SELECT model_id, title, license_weights FROM models ORDER BY ALL"
        ).fetchall()
    assert rows == [
        ("element-a", "atoms/Fe", [0.5, -1.0]),
        ("element-a", "atoms/H", [2.0, 3.0]),
        ("element-b", "atoms/Og", [1.0, 2.25, 3.0]),
    ]
    assert models == [
        ("element-a", f"A ({WHEEL})", f"MIT ({WHEEL}); of the model: BSD-3-Clause"),
        ("element-b", f"B ({WHEEL})", f"MIT ({WHEEL}); of the model: not stated"),
    ]
    import_sets(layout, source, ["element-b"], log=lines.append)
    assert lines[-1] == "element-b on atoms: these vectors are stored already; nothing to do"
    with pytest.raises(UsageError, match=re.escape("'element-c'; did you mean 'element-b' or")):
        import_sets(layout, source, ["element-c"], log=lines.append)


def test_the_published_sets_are_told_by_their_facts() -> None:
    facts = Source.load(SETS).facts
    assert facts.file[0].pinned and facts.license.name == "MIT"
    sets = facts.options["sets"]
    assert len({found["file"] for found in sets.values()}) == len(sets) == 11
    for model in sets:
        assert model.startswith("element-")
        check_model_id(model)
