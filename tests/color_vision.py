"""How colors look to the color-blind and in print, and how far apart they are then."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Of linear red, green and blue: Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), severity 1;
# gray is what paper and an eye without cones have left, the luminance of Rec. 709.
_LUMINANCE = (0.2126, 0.7152, 0.0722)
VISIONS: dict[str, Array] = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
    "gray": np.tile(_LUMINANCE, (3, 1)),
}
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [*_LUMINANCE], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def linear(color: str) -> Array:
    """Return the linear red, green and blue, 0 to 1, of a hexadecimal color."""
    levels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def lab(color: str, vision: str = "all cones") -> Array:
    """Return CIELAB's L*, a* and b* of a color as an eye sees it; L* is 0 to 100."""
    seen = np.clip(VISIONS[vision] @ linear(color), 0, 1)
    ratio = _XYZ @ seen / _WHITE
    edge = 6 / 29
    f = np.where(ratio > edge**3, np.cbrt(ratio), ratio / (3 * edge**2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(color: str, ground: str) -> float:
    """Return the contrast of two colors as WCAG 2 defines it, 1 to 21."""
    low, high = sorted(float(np.dot(_LUMINANCE, linear(each))) for each in (color, ground))
    return (high + 0.05) / (low + 0.05)


def difference(one: Array, other: Array) -> float:
    """Return CIEDE2000 of two colors in CIELAB: about 1 is the least that is seen side by side.

    Sharma, Wu and Dalal, Color Research and Application 30 (2005).
    """
    chroma = [float(np.hypot(*color[1:])) for color in (one, other)]
    mean = (sum(chroma) / 2) ** 7
    stretch = 1 + 0.5 * (1 - np.sqrt(mean / (mean + 25**7)))
    (l1, a1, b1), (l2, a2, b2) = ((c[0], c[1] * stretch, c[2]) for c in (one, other))
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = h1 + turn / 2 if c1 * c2 else h1 + h2
    lightness, c = (l1 + l2) / 2 - 50, (c1 + c2) / 2
    waves = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    t = 1 + sum(size * np.cos(np.radians(n * hue + by)) for size, n, by in waves)
    parts = (
        (l2 - l1) / (1 + 0.015 * lightness**2 / np.sqrt(20 + lightness**2)),
        (c2 - c1) / (1 + 0.045 * c),
        2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * c * t),
    )
    blue = np.radians(60 * np.exp(-(((hue % 360 - 275) / 25) ** 2)))
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(blue)
    return float(np.sqrt(sum(part**2 for part in parts) + rotation * parts[1] * parts[2]))
