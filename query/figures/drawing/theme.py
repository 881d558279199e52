"""How every chart looks, on white and on dark: fonts, inks and grids, without data.

Marks name a style instead of a color ("ink", "soft", "line"), so that one specification reads on
both. Colors that carry a meaning are the same on both; see `looks`.
"""

from __future__ import annotations

from typing import Any

_FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_TICKS = 6  # on an axis, about: few numbers are read, many lines hide what is drawn
_SMALL = 11  # px, of all letters but titles; 10 inside a chart
# Text on the page has a contrast of 4.5 : 1 and more, lines that must be seen 3 : 1 and more.
_LIGHT = {"ink": "#1b1f24", "soft": "#5b636c", "line": "#7d858e", "grid": "#e4e7ea"}
_DARK = {"ink": "#e6e9ec", "soft": "#a7b0b9", "line": "#868f98", "grid": "#31373d"}


def make_config(*, dark: bool = False) -> dict[str, Any]:
    """Return the configuration of Vega-Lite that all charts share.

    Args:
        dark: For a dark page; its background is the page's own. Otherwise it is white.

    Returns:
        The value of a specification's "config".
    """
    color = _DARK if dark else _LIGHT
    return {
        "background": "transparent" if dark else "white",
        "font": _FONT,
        "padding": 8,
        "title": _title(color),
        "axis": _axis(color),
        "axisQuantitative": {
            "tickCount": _TICKS,
            "labelOverlap": "greedy",
            "labelSeparation": 6,
            "labelFlush": False,
        },
        "header": {"labelColor": color["ink"], "labelFontSize": 12, "titleColor": color["soft"]},
        "legend": _legend(color),
        "view": {"stroke": None, "continuousWidth": 420, "continuousHeight": 300},
        "style": _styles(color),
        "point": {"opacity": 1},
        "text": {"fontSize": 10},
        "range": {"heatmap": {"scheme": "cividis"}, "ramp": {"scheme": "cividis"}},
        "concat": {"spacing": 36},
    }


def _title(color: dict[str, str]) -> dict[str, Any]:
    return {
        "anchor": "start",
        "frame": "bounds",
        "fontSize": 14,
        "offset": 12,
        "color": color["ink"],
        "subtitleColor": color["soft"],
        "subtitleFontSize": _SMALL,
        "subtitlePadding": 5,
    }


def _axis(color: dict[str, str]) -> dict[str, Any]:
    return {
        "domainColor": color["line"],
        "gridColor": color["grid"],
        "tickColor": color["line"],
        "labelColor": color["ink"],
        "titleColor": color["ink"],
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "titlePadding": 8,
        "labelFontSize": _SMALL,
        "labelLimit": 260,
    }


def _legend(color: dict[str, str]) -> dict[str, Any]:
    return {
        "orient": "bottom",
        "columns": 4,
        "labelColor": color["ink"],
        "titleColor": color["soft"],
        "titleFontWeight": "normal",
        "labelFontSize": _SMALL,
        "titleFontSize": _SMALL,
        "labelLimit": 320,
        "titleLimit": 420,
        "symbolSize": 70,
        "gradientStrokeWidth": 0,
    }


def _styles(color: dict[str, str]) -> dict[str, Any]:
    return {
        "ink": {"color": color["ink"]},
        "soft": {"color": color["soft"]},
        "line": {"color": color["line"], "strokeWidth": 1},
        "dashed": {"color": color["line"], "strokeWidth": 1, "strokeDash": [5, 4]},
        "dotted": {"color": color["line"], "strokeWidth": 1, "strokeDash": [1, 3]},
        "grid": {"color": color["grid"]},
        "guide-label": {"fill": color["ink"]},
    }
