"""The duration of each task, stored beside the checkpoints: a later attempt may record the result."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from cil_core.spec.errors import CheckpointError
from cil_core.spec.events import Event, TaskEvaluated, TaskStarted

FILE = "seconds.jsonl"


class Stopwatch:
    """Measures tasks with a monotonic clock.

    Args:
        directory: of this attempt's checkpoints; None stores nothing.
        earlier: the directories of earlier attempts.
    """

    def __init__(self, directory: Path | None, earlier: Sequence[Path] = ()) -> None:
        self._directory = directory
        self._known = {task: seconds for folder in earlier for task, seconds in _read(folder / FILE)}
        self._started: dict[int, float] = {}

    def seconds(self, event: Event) -> float | None:
        """Seconds from a task's start to its `TaskEvaluated`, in the attempt that trained it.

        None for other events, or if unknown.
        """
        if isinstance(event, TaskStarted):
            self._started[event.task] = time.monotonic()
        if not isinstance(event, TaskEvaluated):
            return None
        if event.task in self._started:
            self._known[event.task] = time.monotonic() - self._started[event.task]
            self._save(event.task)
        return self._known.get(event.task)

    def _save(self, task: int) -> None:
        if self._directory is None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with (self._directory / FILE).open("a") as file:
                file.write(json.dumps([task, self._known[task]]) + "\n")
        except OSError as error:
            raise CheckpointError(
                f"cannot write {self._directory / FILE}: {error.strerror or error}"
            ) from error


def _read(path: Path) -> list[tuple[int, float]]:
    """The complete lines of a file that may end in half a line."""
    if not path.exists():
        return []
    return [
        (int(task), float(seconds))
        for line in path.read_text().splitlines()
        if line.endswith("]")
        for task, seconds in [json.loads(line)]
    ]
