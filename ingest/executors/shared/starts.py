"""Count how often a task has started with a chunk, so that a poisoned one ends.

A start that has written a shard has got on, whatever ended it, and the count begins again. After
MOST_STARTS in a row that have not, the chunk has failed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from ingest.executors.shared.node import node_name
from ingest.executors.shared.submission import Submission
from ingest.integrity import read_json, write_json
from ingest.runs.folder import Run
from zoo.worker.events import CURRENT_FILE

MOST_STARTS = 3  # in a row without a new shard, within one submission


@dataclass
class Starts:
    """What is known of a chunk's starts within a submission.

    Attributes:
        nodes: Where the starts in a row without a new shard were.
        shards: How many shards there were at the last start.
        reason: Why the last start failed; None if it ended without a word.
        failed: Whether the chunk has failed, and is not started again.
        finished: Whether a task has seen the chunk finished.
    """

    nodes: list[str] = field(default_factory=list)
    shards: int = 0
    reason: str | None = None
    failed: bool = False
    finished: bool = False

    @classmethod
    def of(cls, submission: Submission, run: Run) -> Starts:
        """Return what is known.

        Args:
            submission: The submission.
            run: One of its chunks.
        """
        path = submission.folder / "starts" / f"{run.run_id}.json"
        return cls(**read_json(path)) if path.exists() else cls()

    def write(self, submission: Submission, run: Run) -> None:
        """Keep what is known.

        Args:
            submission: The submission.
            run: One of its chunks.
        """
        write_json(submission.folder / "starts" / f"{run.run_id}.json", asdict(self))

    def begin(self, run: Run) -> bool:
        """Count a start, unless there were too many.

        Args:
            run: The chunk, as it is now.

        Returns:
            Whether the chunk may be started.
        """
        found = len(run.shards)
        if found > self.shards:
            self.nodes = []
        self.shards = found
        if len(self.nodes) >= MOST_STARTS:
            return False
        self.nodes.append(node_name())
        self.reason = None
        return True

    def explain(self, run: Run) -> str:
        """Return why a chunk that is not started again has failed.

        Args:
            run: The chunk.
        """
        why = self.reason or (
            "none left a word, as when a node is lost or a job is killed"
            f"{_at_which_system(run)}; see its log"
        )
        where = ", ".join(self.nodes)
        return f"started {len(self.nodes)} times, on {where}, without a new shard: {why}"


def _at_which_system(run: Run) -> str:
    """Return at which system the last worker was, where it has left that."""
    try:
        found = json.loads((run.out / CURRENT_FILE).read_bytes())
        return f"; the last was at {found['system_id']} ({found['size']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
