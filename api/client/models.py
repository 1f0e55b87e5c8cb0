"""The server's answers as the client reads them; fields that it does not know are kept unchanged."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from api.client.errors import UnexpectedAnswerError

JOB_ENDS = frozenset({"succeeded", "failed", "cancelled"})
RUN_ENDS = frozenset({"succeeded", "failed", "cancelled", "dead"})


class Answer(BaseModel):
    """An answer that keeps unknown fields, so that an older client reads a newer server."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @classmethod
    def read(cls, answer: Any) -> Self:
        """The model of an answer.

        Raises:
            UnexpectedAnswerError: names the fields that do not fit.
        """
        try:
            return cls.model_validate(answer)
        except ValidationError as error:
            fields = ", ".join("/".join(map(str, fault["loc"])) or "/" for fault in error.errors()[:5])
            raise UnexpectedAnswerError(
                f"the server's answer is no {cls.__name__} ({fields}); "
                "its version may differ from the client's"
            ) from None


class Attempt(Answer):
    """One attempt of a run, and why it ended."""

    number: int
    worker: str
    device: str
    outcome: str
    failure: str | None = None
    message: str | None = None


class JobRun(Answer):
    """A run within its job."""

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
        """Whether its state is final."""
        return self.state in RUN_ENDS


class Job(Answer):
    """A submitted job."""

    id: str
    state: str
    method: str
    track: str
    created_at: datetime
    name: str | None = None
    user_id: str | None = None
    reused: bool = False
    queue_position: int | None = None
    runs: tuple[JobRun, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether its state is final."""
        return self.state in JOB_ENDS


class Event(Answer):
    """Something that happened to a job."""

    sequence: int
    kind: str
    run_id: str | None = None
    payload: dict[str, Any] = {}


class Classifier(Answer):
    """A run's results under one classifier: counts of correct predictions, and metrics if it is complete."""

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
    """The run that an entry counts for one seed."""

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
    """A reported result, and the gap between our entry of the same recipe and it."""

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
    """The entries of a track, the best one first, and what papers report on it."""

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
