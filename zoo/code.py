"""Hashes of code and of requirements that change when what they do may, not when words do."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Fields of the syntax tree that no program can observe.
_WORDS_ABOUT_CODE = {"type_comment", "type_ignores", "kind"}


@lru_cache(maxsize=256)  # the encoder of a family is asked for with each of its models
def code_hash(source: str | bytes) -> str:
    """Return the SHA-256 of a module's syntax tree, without comments, docstrings and layout.

    The tree is written out here, not by `ast.dump`, whose text differs between versions of Python.
    Empty fields are left out, so that a field that a later Python adds changes no hash.

    Args:
        source: The text of a Python module.

    Returns:
        64 hexadecimal digits.

    Raises:
        SyntaxError: The source is not Python.
    """
    return hashlib.sha256("".join(_written(ast.parse(source))).encode()).hexdigest()


def requirements_hash(text: str) -> str:
    """Return the SHA-256 of a lock of requirements, without its comments.

    Args:
        text: The text of a requirements.lock.

    Returns:
        64 hexadecimal digits.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [line for line in lines if line and not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def _written(value: object) -> Iterator[str]:
    if isinstance(value, ast.AST):
        yield f"{type(value).__name__}("
        for name in sorted(value._fields):
            field = _without_docstring(value) if name == "body" else getattr(value, name, None)
            if name not in _WORDS_ABOUT_CODE and field is not None and field != []:
                yield f"{name}="
                yield from _written(field)
        yield ")"
    elif isinstance(value, list):
        yield "["
        for item in value:
            yield from _written(item)
        yield "]"
    else:
        yield f"{type(value).__name__}:{value!r};"


def _without_docstring(node: ast.AST) -> object:
    body = getattr(node, "body", None)
    if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        return node.body[1:]
    return body
