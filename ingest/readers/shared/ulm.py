"""ASE's binary format ULM, in which trajectories are written: frames of JSON and arrays.

ASE's own reader takes memory for whatever a damaged file claims, so every length is compared with
the size of the file first.

    magic (8 bytes), tag (16), version, number of frames, place of their list (int64 each)
    list: the place of each frame; a frame: length of its JSON (int64), the JSON
    in the JSON: {"name.": {"ndarray": [shape, type, place of its bytes]}}, and objects likewise
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ingest.readers.shared.reader import RecordError
from ingest.systems.entry import DatasetError

_MAGIC = (b"- of Ulm", b"AFFormat")  # the second was written before 2016
_HEADER = 48  # bytes
_INTEGER = np.dtype("<i8")
_KINDS = "iufb"  # of arrays


class UlmFile:
    """An open ULM file.

    Attributes:
        tag: What the file is, such as 'ASE-Trajectory'.
        count: How many frames it has.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Args:
            path: The file, not compressed.

        Raises:
            DatasetError: It is not a whole ULM file.
        """
        self._file = path.open("rb")
        self._size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.read(len(_MAGIC[0])) not in _MAGIC:
                raise RecordError("it does not begin as one")
            self.tag = self._bytes(16, 8).decode("ascii", "replace").rstrip("\0 ")
            _, self.count, place = self._integers(3, 24)
            self._places = self._integers(self.count, place)
        except RecordError as error:
            self._file.close()
            raise DatasetError(f"{path} is not a whole trajectory of ASE: {error}") from error

    def __enter__(self) -> UlmFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def frame(self, number: int) -> dict[str, Any]:
        """Read the JSON of a frame.

        Args:
            number: The number of the frame, from 0.

        Returns:
            The JSON object; `array` reads what it has of arrays.

        Raises:
            RecordError: The frame is cut, or not an object.
        """
        place = self._places[number]
        (length,) = self._integers(1, place)
        content = json.loads(self._bytes(length, place + _INTEGER.itemsize))
        if not isinstance(content, dict):
            raise RecordError(f"expected a JSON object, got {type(content).__name__}")
        return content

    def array(self, frame: dict[str, Any], name: str) -> np.ndarray | None:
        """Read an array of a frame.

        Args:
            frame: What `frame` returned.
            name: The name of the array.

        Returns:
            The array, None if the frame has none of that name.

        Raises:
            RecordError: The array is cut, or not of numbers.
        """
        if name in frame:
            return np.array(frame[name])
        if f"{name}." not in frame:
            return None
        shape, kind, place = frame[f"{name}."]["ndarray"]
        dtype = np.dtype(kind)
        if dtype.kind not in _KINDS:
            raise RecordError(f"{name} is an array of {kind!r:.40}; expected numbers")
        raw = self._bytes(math.prod(shape) * dtype.itemsize, place)
        order = "<" if frame.get("_little_endian", True) else ">"
        return np.frombuffer(raw, dtype.newbyteorder(order)).astype(dtype).reshape(shape)

    def _integers(self, count: int, place: int) -> list[int]:
        raw = self._bytes(count * _INTEGER.itemsize, place)
        return [int(number) for number in np.frombuffer(raw, _INTEGER)]

    def _bytes(self, count: int, place: int) -> bytes:
        whole = isinstance(count, int) and isinstance(place, int)
        if not whole or place < 0 or count < 0 or place + count > self._size:
            raise RecordError(
                f"expected {count!r:.40} bytes from byte {place!r:.40}, and the file has "
                f"{self._size}: is it cut off?"
            )
        self._file.seek(place)
        return self._file.read(count)
