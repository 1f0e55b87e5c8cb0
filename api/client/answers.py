"""What the client understands of the server's answers: the fields people use; everything else stays in `extra`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

TERMINAL = frozenset({"succeeded", "failed", "cancelled", "dead"})


class Answer(BaseModel):
    """An answer that keeps what it does not know, so that an older client reads a newer server."""

    model_config = ConfigDict(frozen=True, extra="allow")


class JobRun(Answer):
    """A run as its job shows it."""

    id: str
    seed: int
    state: str
    attempt: int = 0
    failure: str | None = None
    message: str | None = None
    average_accuracy: float | None = None
    last_accuracy: float | None = None


class Job(Answer):
    """A submitted job."""

    id: str
    state: str
    method: str
    track: str
    created_at: datetime
    name: str | None = None
    reused: bool = False
    queue_position: int | None = None
    runs: tuple[JobRun, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in TERMINAL


class Event(Answer):
    """Something that happened to a job."""

    sequence: int
    kind: str
    run_id: str | None = None
    payload: dict[str, Any] = {}


class Statistic(Answer):
    """A number over seeds."""

    mean: float
    std: float | None = None
    interval: tuple[float, float] | None = None


class EntryRun(Answer):
    """The run an entry counts for one seed."""

    seed: int
    run_id: str
    average_accuracy: float


class Entry(Answer):
    """A row of a leaderboard."""

    id: str
    rank: int | None
    method: str
    title: str
    variant: str
    classifier: str
    runs: tuple[EntryRun, ...]
    metrics: dict[str, Statistic]
    curve: tuple[Statistic, ...]
    exemplars: int
    counted_bytes: int
    kept_bytes: int
    parameters: int
    train_seconds: Statistic | None = None
    devices: tuple[str, ...] = ()


class Leaderboard(Answer):
    """The entries of a track, best first."""

    items: tuple[Entry, ...]
