"""A molecule as RDKit draws it."""

from __future__ import annotations

import re
from typing import Any

_SIZE = (220, 180)  # px
_HEADER = re.compile(r"<\?xml.*?\?>|<!--.*?-->|\s+xmlns:\w+='[^']*'|\s+xml:space='[^']*'", re.S)
_SHORTER = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"\d+\.\d+"), lambda number: f"{float(number[0]):.1f}".removesuffix(".0")),
    (re.compile(r" class='[^']*'"), ""),
    (re.compile(r"fill-rule:evenodd;|stroke-linecap:butt;|stroke-opacity:1;?"), ""),
    (re.compile(r"#000000"), "currentColor"),
)


def draw_molecule(smiles: str) -> str | None:
    """Draw a molecule by its SMILES, with letters at all atoms but carbons of a chain or ring.

    Args:
        smiles: The SMILES.

    Returns:
        An SVG element; None if RDKit is not installed or cannot read the SMILES.
    """
    try:  # slow to import, and no part of what a page needs without molecules
        from rdkit.Chem import MolFromSmiles
        from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2DSVG, PrepareAndDrawMolecule
        from rdkit.rdBase import BlockLogs
    except ImportError:
        return None
    # What is odd about a molecule is no concern of who looks at it.
    with BlockLogs():
        molecule = MolFromSmiles(smiles)
    if molecule is None:
        return None
    canvas = MolDraw2DSVG(*_SIZE)
    options: Any = canvas.drawOptions()
    options.useBWAtomPalette()  # so that it reads on a dark page, too
    options.clearBackground = False
    options.explicitMethyl = True  # or 2-butyne would be a line without an atom
    options.fixedBondLength = 32  # px at most, or a bond alone would fill the picture
    with BlockLogs():
        PrepareAndDrawMolecule(canvas, molecule)
    canvas.FinishDrawing()
    drawing: str = _HEADER.sub("", canvas.GetDrawingText())
    for pattern, by in _SHORTER:
        drawing = pattern.sub(by, drawing)
    return drawing
