"""The section "Functions" of query/README.md, made from the declarations of all functions.

`python -m query.sql.reference` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from query.metrics import MEASURES, METRICS
from query.sql.macros import comments, signatures
from query.tables import find_table_functions

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- functions: made by `python -m query.sql.reference` -->"
END = "<!-- end of functions -->"


def describe(name: str) -> str:
    """Return the help of one function: its signature, what it answers, parameters and columns.

    Args:
        name: The function.

    Raises:
        KeyError: If there is no such function.
    """
    lines = [signatures()[name], f"    {comments()[name]}"]
    function = find_table_functions().get(name)
    if function is not None:
        names = [each.name for each in function.parameters]
        names += [each.name for each in function.columns]
        width = max(map(len, names))
        lines.append("  parameters")
        lines += [f"    {each.name:{width}}  {each.about}" for each in function.parameters]
        lines.append("  columns")
        lines += [f"    {each.name:{width}}  {each.about}" for each in function.columns]
    return "\n".join(lines)


def section() -> str:
    """Return the section between its markers, in Markdown."""
    return "\n".join([BEGIN, *_tables(), END])


def with_section(text: str) -> str:
    """Return a text with the section made anew.

    Args:
        text: A text that has both markers.

    Raises:
        ValueError: If it lacks one.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README} needs the lines '{BEGIN}' and '{END}'")
    return before + section() + after


def _tables() -> Iterator[str]:
    yield "| table function | what it answers |"
    yield "| --- | --- |"
    for name, function in find_table_functions().items():
        parameters = ", ".join(each.name for each in function.parameters)
        module = (function.answer or function.row).__module__
        file = "/".join(module.split(".")[1:]) + ".py"
        yield f"| [`{name}`]({file})`({parameters})` | {function.about} |"
    yield ""
    yield "| aggregate or scalar function | what it answers |"
    yield "| --- | --- |"
    for name, signature in signatures().items():
        if name not in find_table_functions():
            folder = f"[`{name}`](metrics/{name}.py)" if name in (*METRICS, *MEASURES) else ""
            called = signature.removeprefix(name) if folder else signature
            yield f"| {folder}`{called}` | {comments()[name]} |"


if __name__ == "__main__":
    README.write_text(with_section(README.read_text(encoding="utf-8")), encoding="utf-8")
