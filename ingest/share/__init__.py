"""Vectors to share: runs published as a dataset of a hub, and brought from there into another's store."""

from __future__ import annotations

from ingest.share.fetch import Offer, fetch, look
from ingest.share.publish import publish
from ingest.share.record import ShareError

__all__ = ["Offer", "ShareError", "fetch", "look", "publish"]
