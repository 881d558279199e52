"""The base class of all cards, their error, and the patterns of names and hashes in them."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from zoo.errors import MatterzooError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class CardError(MatterzooError):
    """A card is wrong (the message lists every fault), or no family or model has that name."""


class Card(BaseModel):
    """A part of a card: it cannot be changed, and keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))
