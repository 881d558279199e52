"""The README of a repository of vectors: metadata that the hub and `datasets` read, and words for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ingest.runs.import_vectors import GIVEN
from ingest.share.record import INDEX, Record, folder_of, license_of, slug

BODY = """# Vectors of {models} over {datasets}

How scientific foundation models see matter: one vector a system, model and representation, made by
matterzoo, which asks in SQL how alike two models see the same systems.

| column | |
| --- | --- |
| `system_id` | `<dataset>/<id in its source>` |
| `content_hash` | sha256 of what was embedded; compare two vectors only where it agrees |
| `representation` | where in the model the vector was read |
| `status` | `ok`, `failed` (the model tried) or `not_applicable` (the model does not take such systems) |
| `reason` | why there is no vector |
| `vector` | float32, in the model's own arbitrary units |
| `energy` | total energy of the system in eV, as the model predicts it; null where it predicts none |

## Read
```python
datasets.load_dataset("{repo}", "{config}", split="train")
polars.scan_parquet("hf://datasets/{repo}/{folder}/*.parquet")
```
```sql
FROM 'hf://datasets/{repo}/{folder}/*.parquet';
```
```sh
make fetch MODEL={model} DATASET={dataset} REPO={repo}   # into a store of matterzoo
```

## What is here
{rows}

## Models
{about_models}

## Datasets
{about_datasets}

## How each file was made
{about_files}

`{index}` holds all of this and the versions of all packages, the models' cards and their published scores: a line of
JSON a file.
"""


def data_card(repo: str, records: Sequence[Record]) -> str:
    """README.md of a repository that holds these records."""
    from huggingface_hub import DatasetCardData

    folders = {
        config_of(r): f"{folder_of(r.dataset.name, r.model_id, r.representation)}/*.parquet"
        for r in records
    }
    models, datasets = {r.model_id for r in records}, {r.dataset.name for r in records}
    about = DatasetCardData(
        license="other",
        license_name="of-each-model-and-dataset",
        pretty_name=f"Vectors of {counted(models, 'model')} over {counted(datasets, 'dataset')}",
        tags=["matterzoo", "embeddings", "chemistry", "biology"],
        configs=[{"config_name": name, "data_files": files} for name, files in folders.items()],
    )
    first = records[0]
    body = BODY.format(
        models=counted(models, "model"),
        datasets=counted(datasets, "dataset"),
        repo=repo,
        config=config_of(first),
        folder=folder_of(first.dataset.name, first.model_id, first.representation),
        model=first.model_id,
        dataset=first.dataset.name,
        index=INDEX,
        rows=table(
            "model, dataset, representation, numbers, vectors, failed, not applicable",
            map(row, records),
        ),
        about_models=table(
            "model, what it is, license of the weights, license of the code, weights",
            unique(map(model_row, records)),
        ),
        about_datasets=table(
            "dataset, what it is, source, license, systems, hash", unique(map(dataset_row, records))
        ),
        about_files="\n\n".join(map(file_facts, records)),
    )
    return f"---\n{about.to_yaml()}\n---\n{body}"


def config_of(record: Record) -> str:
    """The name under which `datasets` loads a model's vectors."""
    return f"{slug(record.dataset.name)}.{slug(record.model_id)}.{record.representation}"


def row(record: Record) -> list[object]:
    counts = record.counts
    names = [record.model_id, record.dataset.name, record.representation, record.dimension]
    return [*names, counts.ok, counts.failed, counts.not_applicable]


def model_row(record: Record) -> list[object]:
    model, license = record.model, license_of(record.model.card)
    terms = model.license_weights
    if license is not None and model.untrained_of is None:
        terms = (
            f"[{license.name}]({license.url})"
            if license.url
            else f"{license.name} ({license.no_url_because})"
        )
        terms += "" if license.commercial else ", non-commercial"
    return [record.model_id, model.title, terms, model.license_code, weights_of(record)]


def weights_of(record: Record) -> str:
    """Where the weights came from."""
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


def dataset_row(record: Record) -> list[object]:
    about = record.dataset
    return [
        about.name,
        about.title,
        about.source,
        about.license,
        about.systems,
        f"`{about.dataset_hash}`",
    ]


def file_facts(record: Record) -> str:
    """A list of what one file is and how it was made."""
    where = record.image or {GIVEN: "brought by a user"}.get(
        record.runtime, "a local environment (venv)"
    )
    facts = {
        "sha256": f"`{record.sha256}`",
        "run": f"`{record.run_id}`, {record.started:%Y-%m-%d} to {record.finished:%Y-%m-%d} (UTC)",
        "counts": ", ".join(
            f"{name} {count}" for name, count in record.counts.model_dump().items()
        ),
        "device": f"{record.device} ({record.device_name or 'not stated'}), {record.dtype}",
        "environment": where,
        "fetched from": record.origin,
        "seed of the untrained weights": record.untrained_seed,
        "weights": ", ".join(f"{path} `{digest}`" for path, digest in record.weights.items())
        or None,
        "card": f"`{record.card_hash}`",
        "encoder": record.encoder_hash and f"`{record.encoder_hash}`",
        "lock": record.lock_hash and f"`{record.lock_hash}`",
        "matterzoo": f"{record.matterzoo} when it was published",
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value is not None]
    return "\n".join([f"### {record.file}", *lines])


def table(head: str, rows: Iterable[Sequence[object]]) -> str:
    """In Markdown. head: names separated by commas."""
    names = head.split(", ")
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines
    )


def unique(rows: Iterable[list[object]]) -> list[list[object]]:
    """Each once."""
    return [list(row) for row in dict.fromkeys(tuple(row) for row in rows)]


def counted(things: set[str], word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"
