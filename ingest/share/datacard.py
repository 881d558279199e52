"""The README of a repository of vectors: metadata for the hub, and text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ingest.runs.imported import IMPORTED
from ingest.share.record import INDEX, PublishedRun, license_of, slug

_BODY = """# Vectors of {models} over {datasets}

How scientific foundation models see matter: one vector per system, model and representation. The
vectors were made by matterzoo, which computes in SQL how alike two models see the same systems.

| column | |
| --- | --- |
| `system_id` | `<dataset>/<id in its source>` |
| `content_hash` | SHA-256 of what was embedded; compare two vectors only if it is the same |
| `representation` | where in the model the vector was read |
| `status` | `ok`, `failed` (the model tried) or `not_applicable` (it does not take such systems) |
| `reason` | why there is no vector |
| `vector` | float32, in the model's own arbitrary units; of a representation that ends with \
`:nodes`, the vectors of all atoms or residues of the system, one after another |
| `energy` | total energy of the system in eV that the model predicts; null if it predicts none |

## Read
```python
datasets.load_dataset("{repo}", "{config}", split="train")
polars.scan_parquet("hf://datasets/{repo}/{folder}/*.parquet")
```
```sql
FROM 'hf://datasets/{repo}/{folder}/*.parquet';
```
```sh
matterzoo fetch {model} {dataset} {repo}   # into a store of matterzoo
```

## What is here
{rows}

## Models
{about_models}

## Datasets
{about_datasets}

## How each file was made
{about_files}

`{index}` holds all of this, the versions of all packages, the models' cards and their published
scores: one line of JSON per file.
"""

_ROW_HEAD = (
    "model",
    "dataset",
    "representation",
    "numbers",
    "vectors",
    "failed",
    "not applicable",
)
_MODEL_HEAD = (
    "model",
    "what it is",
    "license of the weights",
    "license of the code",
    "weights",
)
_DATASET_HEAD = ("dataset", "what it is", "source", "license", "systems", "hash")


def data_card(repo: str, records: Sequence[PublishedRun]) -> str:
    """Return the README.md of a repository.

    Args:
        repo: The repository, owner/name.
        records: The files that it holds, at least one.

    Returns:
        Metadata in YAML, and the text in Markdown.
    """
    from huggingface_hub import DatasetCardData

    folders = {_config_of(record): f"{record.folder}/*.parquet" for record in records}
    models = _count({record.model_id for record in records}, "model")
    datasets = _count({record.dataset.name for record in records}, "dataset")
    about = DatasetCardData(
        license="other",
        license_name="of-each-model-and-dataset",
        pretty_name=f"Vectors of {models} over {datasets}",
        tags=["matterzoo", "embeddings", "chemistry", "biology"],
        configs=[{"config_name": name, "data_files": files} for name, files in folders.items()],
    )
    first = records[0]
    body = _BODY.format(
        models=models,
        datasets=datasets,
        repo=repo,
        config=_config_of(first),
        folder=first.folder,
        model=first.model_id,
        dataset=first.dataset.name,
        index=INDEX,
        rows=_table(_ROW_HEAD, map(_row, records)),
        about_models=_table(_MODEL_HEAD, _unique(map(_model_row, records))),
        about_datasets=_table(_DATASET_HEAD, _unique(map(_dataset_row, records))),
        about_files="\n\n".join(map(_file_facts, records)),
    )
    return f"---\n{about.to_yaml()}\n---\n{body}"


def _config_of(record: PublishedRun) -> str:
    """Return the name under which `datasets` loads a model's vectors."""
    names = record.dataset.name, record.model_id, record.representation
    return ".".join(map(slug, names))


def _row(record: PublishedRun) -> list[object]:
    counts = record.counts
    names = [record.model_id, record.dataset.name, record.representation, record.dimension]
    return [*names, counts.ok, counts.failed, counts.not_applicable]


def _model_row(record: PublishedRun) -> list[object]:
    model, license = record.model, license_of(record.model.card)
    terms = model.license_weights
    if license is not None and model.untrained_of is None:
        terms = (
            f"[{license.name}]({license.url})"
            if license.url
            else f"{license.name} ({license.no_url_because})"
        )
        terms += "" if license.commercial else ", non-commercial"
    return [record.model_id, model.title, terms, model.license_code, _weights_of(record)]


def _weights_of(record: PublishedRun) -> str:
    """Return where the weights came from."""
    if record.untrained_seed is not None:
        return f"drawn at random, seed {record.untrained_seed}"
    weights = record.model.card.get("weights", {})
    match weights.get("source"):
        case "hub":
            return f"{weights['repo']}, revision {weights['revision']}"
        case "package":
            return f"carried by the package {weights['package']}"
        case "url":
            return ", ".join(str(file["url"]) for file in weights["files"])
        case "none":
            return "none"
        case _:
            return "not stated"


def _dataset_row(record: PublishedRun) -> list[object]:
    about = record.dataset
    return [
        about.name,
        about.title,
        about.source,
        about.license,
        about.systems,
        f"`{about.dataset_hash}`",
    ]


def _file_facts(record: PublishedRun) -> str:
    """List what one file is and how it was made."""
    elsewhere = "imported by a user" if record.runtime == IMPORTED else "a local environment (venv)"
    counts = record.counts.model_dump().items()
    weights = record.weights.items()
    facts = {
        "sha256": f"`{record.sha256}`",
        "run": f"`{record.run_id}`, {record.started:%Y-%m-%d} to {record.finished:%Y-%m-%d} (UTC)",
        "counts": ", ".join(f"{name} {count}" for name, count in counts),
        "device": f"{record.device} ({record.device_name or 'not stated'}), {record.dtype}",
        "environment": record.image or elsewhere,
        "fetched from": record.origin,
        "seed of the untrained weights": record.untrained_seed,
        "weights": ", ".join(f"{path} `{digest}`" for path, digest in weights) or None,
        "card": f"`{record.card_hash}`",
        "encoder": record.encoder_hash and f"`{record.encoder_hash}`",
        "lock": record.lock_hash and f"`{record.lock_hash}`",
        "matterzoo": f"{record.matterzoo} when it was published",
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value is not None]
    return "\n".join([f"### {record.file}", *lines])


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines
    )


def _unique(rows: Iterable[list[object]]) -> list[list[object]]:
    """Return each row once."""
    return [list(row) for row in dict.fromkeys(tuple(row) for row in rows)]


def _count(things: set[str], word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"
