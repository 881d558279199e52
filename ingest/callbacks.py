"""What code that works for a while calls to report how it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Event = dict[str, Any]  # one JSON object that a worker wrote; its key `event` names the kind
OnEvent = Callable[[Event], None]  # takes each event of a worker as it comes
Log = Callable[[str], None]  # shows a user one line of progress
