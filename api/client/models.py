"""What the client understands of the server's answers: the fields people use; what it does not know is kept as it came."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

JOB_ENDS = frozenset({"succeeded", "failed", "cancelled"})
RUN_ENDS = frozenset({"succeeded", "failed", "cancelled", "dead"})


class Answer(BaseModel):
    """An answer that keeps what it does not know, so that an older client reads a newer server."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Attempt(Answer):
    """One try at a run, and why it ended."""

    number: int
    worker: str
    device: str
    outcome: str
    failure: str | None = None
    message: str | None = None


class JobRun(Answer):
    """A run as its job shows it."""

    id: str
    seed: int
    state: str
    attempt: int = 0
    reused: bool = False
    failure: str | None = None
    message: str | None = None
    average_accuracy: float | None = None
    last_accuracy: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in RUN_ENDS


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
        return self.state in JOB_ENDS


class Event(Answer):
    """Something that happened to a job."""

    sequence: int
    kind: str
    run_id: str | None = None
    payload: dict[str, Any] = {}


class Classifier(Answer):
    """What a run reached under one classifier: counts of right predictions, and every metric once the run is complete."""

    ranks: bool
    summary: dict[str, Any] | None
    correct: tuple[tuple[int, ...], ...]
    test_images: tuple[int, ...]


class Run(Answer):
    """A run with its results."""

    id: str
    seed: int
    state: str
    method: str
    track: str
    attempt: int
    recipe: dict[str, Any]
    task_sizes: tuple[int, ...] | None
    classifiers: dict[str, Classifier]
    matrix_digest: str | None
    environment: dict[str, Any] | None
    failure: str | None = None
    message: str | None = None
    attempts: tuple[Attempt, ...] = ()


class Statistic(Answer):
    """A number over seeds; the 95 % interval needs at least three of them."""

    mean: float
    std: float | None = None
    interval: tuple[float, float] | None = None


class EntryRun(Answer):
    """The run an entry counts for one seed."""

    seed: int
    run_id: str
    average_accuracy: float


class Entry(Answer):
    """A row of a leaderboard; an upper bound has no rank."""

    id: str
    rank: int | None
    method: str
    title: str
    variant: str
    classifier: str
    recipe: dict[str, Any]
    runs: tuple[EntryRun, ...]
    metrics: dict[str, Statistic]
    curve: tuple[Statistic, ...]
    exemplars: int
    counted_bytes: int
    kept_bytes: int
    parameters: int
    train_seconds: Statistic | None = None
    devices: tuple[str, ...] = ()
    trust: str = "verified"
    median_rank: float | None = None
    band: int | None = None


class Reported(Answer):
    """What a paper reports, and the gap of our best entry of that method to it."""

    title: str
    method: str | None
    source: str
    caveat: str
    note: str
    average_accuracy: float
    last_accuracy: float
    entry: str | None
    gap: float | None


class Leaderboard(Answer):
    """The entries of a track, best first, and what papers report on it."""

    slug: str
    sort: str = "average_accuracy"
    items: tuple[Entry, ...]
    reported: tuple[Reported, ...] = ()


class Method(Answer):
    """A method that can be submitted; `presets` are its named sets of hyper-parameters."""

    name: str
    title: str
    family: str
    summary: str
    differs: str = ""
    classifiers: tuple[str, ...]
    presets: tuple[str, ...]
