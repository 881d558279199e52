"""Licenses of code, weights and datasets, as cards state them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from zoo.cards.base import Card


class License(Card):
    """What somebody read about the terms of code, weights or data. Nothing of it is ever guessed.

    Attributes:
        name: The SPDX identifier, or the license's own name.
        url: Where the license was read.
        no_url_because: Why there is no `url`. A card gives one of the two.
        commercial: Whether commercial use is allowed.
        gated: Whether a user has to accept the license somewhere before the download.
        approval: Where it is gated: 'automatic' lets in whoever accepts; 'manual' means that the
            publisher decides on each request, and may say no.
        refused_to: Whom the publisher turns away whatever they accept, as far as that is known.
        share: Whether vectors computed from it may be published; None if nobody has looked.
    """

    name: str = Field(min_length=2)
    url: str | None = Field(default=None, pattern=r"^https://")
    no_url_because: str | None = None
    commercial: bool
    gated: bool = False
    approval: Literal["automatic", "manual"] = "automatic"
    refused_to: str | None = None
    share: bool | None = None

    @model_validator(mode="after")
    def _url_or_reason(self) -> License:
        if (self.url is None) == (self.no_url_because is None):
            raise ValueError("give either url or no_url_because")
        if not self.gated and (self.approval, self.refused_to) != ("automatic", None):
            raise ValueError("approval and refused_to are of a gated license; set gated = true")
        return self

    @property
    def gate(self) -> str | None:
        """What stands before the download, in words; None if nothing does."""
        if not self.gated:
            return None
        refused = f" and refused to {self.refused_to}" if self.refused_to else ""
        if self.approval == "automatic":
            return f"to be accepted before the download{refused}"
        return (
            f"access to be requested before the download, decided by hand{refused}; a request that "
            "is rejected cannot be made again"
        )

    @property
    def shareable(self) -> bool:
        """Whether vectors may be published.

        Where nobody has looked, they may if commercial use is free and nothing has to be accepted.
        """
        return self.commercial and not self.gated if self.share is None else self.share

    def notice(self, of: str) -> str | None:
        """Return the line that is shown before a download.

        Args:
            of: What it is the license of, such as 'the weights'.

        Returns:
            One line, or None if the license is free: commercial use allowed, nothing to accept.
        """
        limits = [] if self.commercial else ["for non-commercial use only"]
        limits += [self.gate] if self.gate else []
        if not limits:
            return None
        link = self.url or self.no_url_because
        return f"license of {of}: {self.name}, {' and '.join(limits)}; {link}"
