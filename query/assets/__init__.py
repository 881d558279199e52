"""Scripts and styles that the report and the site share: figures, structures, tables that sort."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from query.figures.drawing.theme import make_config
from query.structures import MOST
from zoo.files import write_atomically
from zoo.places import user_cache

_FOLDER = Path(__file__).parent
STYLE = (_FOLDER / "shared.css").read_text(encoding="utf-8")


def vega_script() -> str:
    """Return Vega with its embedding, a module that makes `vegaEmbed` global.

    To put it together takes 3 s, so it is kept among the user's caches, per version of its maker.
    """
    kept = user_cache() / "scripts" / f"vega-{version('vl-convert-python')}.js"
    with contextlib.suppress(OSError):
        return kept.read_text(encoding="utf-8")
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # no default in its stub
    # A script in a page would end there, and the rest would be text.
    made = bundle.replace("</script", "<\\/script")
    # A cache that cannot be written costs time and nothing else.
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, made, durable=False)
    return made


def figures_script() -> str:
    """Return what draws figures and structures, with the looks of light and dark pages."""
    configs = {"light": make_config(), "dark": make_config(dark=True)}
    script = (_FOLDER / "figures.js").read_text(encoding="utf-8")
    return script.replace('"CONFIGS"', json.dumps(configs))


def tables_script() -> str:
    """Return what makes tables sort."""
    return (_FOLDER / "tables.js").read_text(encoding="utf-8")


def pack(content: Any) -> str:
    """Return content as gzip in base64, the same text for the same content.

    Args:
        content: What JSON can hold.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def structure_html() -> str:
    """Return the place beside a map that shows the structure of a system, also by name."""
    missing = (
        "no drawing: its structure is not in the store, or this page has drawings of "
        f"{MOST:,} other systems, which is all it takes"
    )
    return (
        f'<div class="structure" data-missing="{missing}">'
        '<label>Point at a system, or choose one <select autocomplete="off"></select></label>'
        '<div class="drawing"></div><p aria-live="polite"></p></div>'
    )
