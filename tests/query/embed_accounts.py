"""Embed what the accounts in docs are about, `python -m tests.query.embed_accounts [DATASET …]`."""

from __future__ import annotations

import sys

import matterzoo


def with_twins(models: str) -> str:
    return ",".join(f"{name},{name}@untrained" for name in models.split(","))


CONTROLS = "reference,reference-rotated,reference-shuffled,random,constant"
POTENTIALS = (
    "chgnet-0.2.0,chgnet-0.3.0,chgnet-r2scan,sevennet-0,sevennet-0-22may2024,sevennet-l3i5,"
    "sevennet-mf-0-pbe,sevennet-mf-0-r2scan"
)
TEXTS = "minilm-atoms,minilm-formula"
PROTEINS = "unirep-64,unirep-256,unirep-1900,proteinmpnn,ligandmpnn"
MOLECULES = "minimol,minilm-smiles,chgnet-0.3.0,sevennet-0"
DRUGS = (
    f"{MOLECULES},admet-ai-classification,admet-ai-regression,aimnet2-wb97m-d3-0,"
    "aimnet2-wb97m-d3-1,ani-2xt"
)
PEPTIDES = "unirep-64,unirep-256,sapiens-heavy,sapiens-light"
# The models of each dataset.
MODELS = {
    "aflow": f"{CONTROLS},{with_twins(POTENTIALS)},{with_twins(TEXTS)},composition,soap",
    "g2": f"{CONTROLS},{POTENTIALS},{TEXTS},minilm-smiles",
    "elements": f"{CONTROLS},{POTENTIALS}",
    "prototypes": f"{CONTROLS},{POTENTIALS}",
    "nci": f"{CONTROLS},{POTENTIALS},{with_twins(MOLECULES)}",
    "proteins": f"{CONTROLS},{with_twins(PROTEINS)}",
    "b3db": f"{CONTROLS},{with_twins(DRUGS)},composition,morgan",
    "peptides": f"{CONTROLS},{with_twins(PEPTIDES)}",
}
# Of these models all layers, by dataset and representations: one pass gives the default one, too.
POOLED = "last_hidden,last_hidden:sum,last_hidden:std,layers"
LAYERED = {
    "aflow": {
        POOLED: with_twins("chgnet-0.3.0,sevennet-0"),
        "last_hidden,layers": "chgnet-r2scan,sevennet-l3i5",
        "sentence,layers": with_twins("minilm-formula"),
    },
    "g2": {"last_hidden,layers": "chgnet-0.3.0,sevennet-0"},
    "proteins": {
        "encoder,layers": with_twins("proteinmpnn"),
        "residues,layers": with_twins("unirep-64,unirep-256"),
    },
}
# And of these the vectors of atoms or residues, by their default representation.
NODES = {
    "aflow": {"last_hidden": "chgnet-0.3.0,sevennet-0"},
    "proteins": {"encoder": "proteinmpnn", "residues": "unirep-64,unirep-256"},
}
# Systems of a larger dataset.
SAMPLED = {"prototypes": 300, "nci": 300, "b3db": 500, "peptides": 1000}


def main(datasets: list[str]) -> int:
    """Embed the systems of the datasets, as far as that is still to do.

    Args:
        datasets: Names of MODELS; empty for all.

    Returns:
        The exit code of the first command that fails, else 0.
    """
    for dataset in datasets or MODELS:
        for names, models in LAYERED.get(dataset, {}).items():
            if code := matterzoo.main(["ingest", models, dataset, "--representation", names]):
                return code
        for models in NODES.get(dataset, {}).values():
            if code := matterzoo.main(["ingest", models, dataset, "--nodes"]):
                return code
        sample = ["--limit", str(SAMPLED[dataset])] if dataset in SAMPLED else []
        if code := matterzoo.main(["ingest", MODELS[dataset], dataset, *sample]):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
