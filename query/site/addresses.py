"""Where the pages of a site are. An address never changes as long as names do not."""

from __future__ import annotations

from urllib.parse import quote

_PLAIN = "@"  # letters that names have and every file system takes, besides those of `quote`


def model_page(model: str) -> str:
    """Return the path of a model's page.

    Args:
        model: The model's id.
    """
    return f"models/{slug(model)}.html"


def family_page(family: str) -> str:
    """Return the path of a family's page.

    Args:
        family: The family's name.
    """
    return f"families/{slug(family)}.html"


def dataset_page(dataset: str) -> str:
    """Return the path of a dataset's page.

    Args:
        dataset: The dataset's name.
    """
    return f"datasets/{slug(dataset)}.html"


def pair_page(model_a: str, model_b: str) -> str:
    """Return the path of the page of a pair of models, in whichever order they are named.

    Args:
        model_a: A model's id.
        model_b: The id of another.
    """
    first, second = sorted((model_a, model_b))
    return f"pairs/{slug(first)}/{slug(second)}.html"


def slug(name: str) -> str:
    """Return the name of a file for anything that has a page.

    Args:
        name: Its name; letters that some file systems refuse are written as -XX, their code.
    """
    return quote(name, safe=_PLAIN).replace("%", "-")
