"""The vector files of a dataset, read once while finds are kept, however many questions ask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.reading.dataset_files import DatasetFiles, Model, Vectors
from query.reading.kept.finds import keep

Codes = dict[Model, NDArray[np.int64]]


class KeptFiles(DatasetFiles):
    """See `DatasetFiles`; what is read of a model is kept while finds are."""

    def fingerprint(self, model: Model) -> str:
        """Return what tells the systems and vectors of a model from all others.

        It is a hash of the checksums of its files, of the rows of them that count, and of the
        systems that are asked for.

        Args:
            model: The model.
        """
        files = self._of(model)
        stated = [
            [(file.sha256, file.run_id, file.representation, file.rows) for file in files],
            sorted(self._superseded_of(model, {file.run_id for file in files})),
            None if self._systems is None else self._systems.to_pylist(),
        ]
        return hashlib.blake2b(json.dumps(stated).encode(), digest_size=16).hexdigest()

    def read_keys(self, model: Model) -> pa.Table:
        """See `DatasetFiles.read_keys`.

        Args:
            model: The model.

        Raises:
            Undefined: A file is damaged.
        """

        def find() -> tuple[pa.Table, Any]:
            found = super(KeptFiles, self).read_keys(model)
            return found, self._rows[model]

        key = "keys", self.fingerprint(model)
        found, self._rows[model] = keep(key, find, lambda found: found[0].nbytes)
        table: pa.Table = found
        return table

    def read_vectors(self, model: Model, name: str) -> Vectors:
        """See `DatasetFiles.read_vectors`.

        Args:
            model: The model.
            name: How reasons call it.

        Raises:
            Undefined: A file is damaged, or the vectors differ in length.
        """

        def find() -> Vectors:
            return super(KeptFiles, self).read_vectors(model, name)

        key = "vectors", self.fingerprint(model)
        vectors: Vectors = keep(key, find, lambda found: int(found.nbytes))
        return vectors

    def keep_codes(
        self, groups: Sequence[list[Model]], find: Callable[[Sequence[list[Model]]], Codes]
    ) -> Codes:
        """Return what is found for groups of models, each of which has the same systems.

        Args:
            groups: The groups.
            find: How the codes of all models are found.
        """
        key = "codes", tuple((self.fingerprint(first), first, *rest) for first, *rest in groups)
        codes: Codes = keep(
            key, lambda: find(groups), lambda found: sum(each.nbytes for each in found.values())
        )
        return codes

    def _superseded_of(self, model: Model, runs: set[str]) -> list[tuple[str, str]]:
        """Return run and system of the rows of a model's files that do not count."""
        rows = self._superseded
        if not rows.num_rows:
            return []
        its = rows.filter(pc.equal(rows["representation"], model[1])).to_pylist()
        return [(row["run_id"], row["system_id"]) for row in its if row["run_id"] in runs]
