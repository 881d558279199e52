"""Write sapiens.json: what the package sapiens itself makes of a heavy and of a light chain.

It runs where its fairseq does, which is in Python 3.8 at the latest:

    uv venv --python 3.8 /tmp/sapiens
    uv pip install --python /tmp/sapiens sapiens==1.0.5 fairseq==0.10.2 torch==1.11.0
    cd zoo/families/antibody/tests && /tmp/sapiens/bin/python write_sapiens.py > sapiens.json

Of each chain the file has the mean of the residues' last states, and the states of three residues.
"""

from __future__ import annotations

import json

import sapiens

# The examples of the packages' own descriptions, and one with a residue that is unknown.
CHAINS = {
    "sapiens-heavy": (
        "QVKLQESGAELARPGASVKLSCKASGYTFTNYWMQWVKQRPGQGLDWIGAIYPGDGNTRYTHKFKGKATLTADKSSSTAYMQLSS"
        "LASEDSGVYYCARGEGNYAWFAYWGQGTTVTVSS"
    ),
    "sapiens-light": (
        "DVVMTQTPFSLPVSLGDQASISCRSSQSLVHSNGNTYLHWYLQKPGQSPKLLIYKVSNRFSGVPDRFSGSGSGTDFTLKISRVEA"
        "EDLGVYFCSQSTHVPYTFGGGTKLEIX"
    ),
}
ROWS = (0, 50, -1)

result = {}
for model_id, sequence in CHAINS.items():
    kind = "H" if model_id == "sapiens-heavy" else "L"
    states = sapiens.predict_residue_embedding(sequence, kind, layer=-1)
    result[model_id] = {
        "sequence": sequence,
        "mean": states.mean(axis=0).tolist(),
        "rows": {row: states[row].tolist() for row in ROWS},
    }
print(json.dumps(result))
