"""What a worker and the steps before it report while they work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Event = dict[str, Any]  # one JSON object that a worker wrote; its key `event` names the kind
OnEvent = Callable[[Event], None]
Log = Callable[[str], None]  # shows a user one line of progress
