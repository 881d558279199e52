"""Hashes of code and of requirements that change when what they do may, not when words do."""

from __future__ import annotations

import ast
import hashlib
from functools import cache, lru_cache

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
    parts: list[str] = []
    _write(ast.parse(source), parts)
    return hashlib.sha256("".join(parts).encode()).hexdigest()


@lru_cache(maxsize=256)  # as of a family's lock
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


def _write(value: object, parts: list[str]) -> None:
    """Append what a value of the syntax tree says; a list is faster to fill than to yield from."""
    if isinstance(value, ast.AST):
        parts.append(f"{type(value).__name__}(")
        for name in _in_order(value._fields):
            field = _without_docstring(value) if name == "body" else getattr(value, name, None)
            if field is not None and field != []:
                parts.append(f"{name}=")
                _write(field, parts)
        parts.append(")")
    elif isinstance(value, list):
        parts.append("[")
        for item in value:
            _write(item, parts)
        parts.append("]")
    else:
        parts.append(f"{type(value).__name__}:{value!r};")


@cache
def _in_order(fields: tuple[str, ...]) -> list[str]:
    return sorted(set(fields) - _WORDS_ABOUT_CODE)


def _without_docstring(node: ast.AST) -> object:
    body = getattr(node, "body", None)
    if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        return node.body[1:]
    return body
