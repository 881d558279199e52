"""Ask before more is removed than a repeated command brings back at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ingest.runs.errors import RequestError
from zoo.command_line import agrees, print_now


def confirm(lines: Sequence[str], would: str, yes: bool, kept: str = "Nothing was removed") -> None:
    """Show what is going to happen, and ask the user whether it may.

    Args:
        lines: What is going to happen, one thing per line.
        would: What a yes does, as a sentence without its period.
        yes: Whether the user has agreed already; required if there is no terminal to ask at.
        kept: What a no leads to, as a sentence without its period.

    Raises:
        RequestError: The user did not agree.
    """
    for line in lines:
        print_now(f"  {line}")
    answer = agrees(f"{would}. Continue?", yes=yes)
    if answer is None:
        raise RequestError(f"{would}. {kept}: add --yes to confirm")
    if not answer:
        raise RequestError(kept[0].lower() + kept[1:])


def confirm_losses(model_id: str, file: Path, yes: bool, lost: Mapping[str, int]) -> None:
    """Ask whether systems may lose the vectors that the store holds of them.

    Args:
        model_id: The model whose vectors are imported again.
        file: The file that replaces the stored vectors.
        yes: Whether the user has agreed already.
        lost: How many systems would lose their vector, by dataset.

    Raises:
        RequestError: The user did not agree.
    """
    where = ", ".join(f"{count} of {dataset}" for dataset, count in lost.items())
    would = (
        f"{file} replaces the stored vectors of {model_id}, and {sum(lost.values())} systems would "
        f"lose their vector ({where}), as the file has none for them"
    )
    confirm([], would, yes, "Nothing was replaced")
