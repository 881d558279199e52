"""What a chart draws: the rows in its specification, and the texts that Vega places."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import vl_convert

_NARROW = set("ijlt.,:;|!'()[]f -I")
_WIDE = set("mwMWCDGHNOQRUABKPSVXYEZ√Δ")


class Layer(NamedTuple):
    """A mark with its encodings and the rows that it draws."""

    mark: dict[str, Any]
    encoding: dict[str, Any]
    rows: list[dict[str, Any]]


class Text(NamedTuple):
    """A text and the corners of its box in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def layers(chart: Any, mark: str | None = None) -> list[Layer]:
    """Return the layers of a chart in their order, or those of one mark."""
    spec = chart.to_dict(validate=False)
    found = list(_walk(spec, spec.get("datasets", {}), spec.get("data")))
    return [layer for layer in found if mark in (None, layer.mark["type"])]


def _walk(part: dict[str, Any], datasets: dict[str, Any], data: Any) -> Iterator[Layer]:
    data = part.get("data", data)
    for key in ("layer", "hconcat", "vconcat", "concat"):
        for child in part.get(key, []):
            yield from _walk(child, datasets, data)
    if "mark" in part:
        rows = data["values"] if "values" in data else datasets[data["name"]]
        mark = part["mark"] if isinstance(part["mark"], dict) else {"type": part["mark"]}
        yield Layer(mark, part.get("encoding", {}), list(rows))


def texts(chart: Any) -> list[Text]:
    """Return every text of a valid chart with its box, of letters as wide as Helvetica's."""
    scene = vl_convert.vegalite_to_scenegraph(chart.to_dict())
    return list(_texts(scene["scenegraph"], 0.0, 0.0, ""))


def _texts(mark: dict[str, Any], x: float, y: float, kind: str) -> Iterator[Text]:
    kind = mark.get("marktype", kind)
    for item in mark.get("items", []):
        at = x + item.get("x", 0.0), y + item.get("y", 0.0)
        if kind == "text" and item.get("fontSize", 10) > 0 and item.get("opacity", 1) > 0:
            lines = item.get("text", "")
            lines = lines if isinstance(lines, list) else str(lines).split("\n")
            lines = [str(line) for line in lines]
            if any(line.strip() for line in lines):
                yield _box(item, lines, *at)
        elif "items" in item:
            for child in item["items"]:
                yield from _texts(child, *at, kind)


def _box(item: dict[str, Any], lines: list[str], x: float, y: float) -> Text:
    size = item.get("fontSize", 10)
    wide = min(max(map(_width, lines)) * size, item.get("limit") or 1e9)
    high = size * (1 + 1.2 * (len(lines) - 1)) * 0.8
    x, y = x + item.get("dx", 0), y + item.get("dy", 0)
    left = {"right": wide, "center": wide / 2}.get(item.get("align", "left"), 0.0)
    top = {"middle": high / 2, "top": 0.0}.get(item.get("baseline", "alphabetic"), high)
    if item.get("angle", 0) in (270, -90):
        return Text(" ".join(lines), x - top, y - wide + left, x - top + high, y + left)
    return Text(" ".join(lines), x - left, y - top, x - left + wide, y - top + high)


def _width(text: str) -> float:
    return sum(0.3 if c in _NARROW else 0.7 if c in _WIDE else 0.55 for c in text)


def overlapping(chart: Any) -> list[tuple[str, str]]:
    """Return the pairs of texts of which one covers a part of the other."""
    return [
        (a.text, b.text)
        for a, b in combinations(texts(chart), 2)
        if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom
    ]


def written(chart: Any) -> set[str]:
    """Return every text of a chart."""
    return {text.text for text in texts(chart)}
