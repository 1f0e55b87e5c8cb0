"""Everything about a worker that can be configured: environment variables that begin with `CIL_`.

Decisions:
    * Durations carry their unit in the name. The defaults are those whose recovery times the documentation states; tests shorten them.
    * The database connection stands whole in `CIL_DATABASE_URL`: other variables (`PGPASSWORD` …) are dropped before anything is started,
      so that the child that runs an experiment holds no secret.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from store.runs import DEFAULT_POLICY, RetryPolicy


class KeepCheckpoints(StrEnum):
    """Which finished runs keep their checkpoints."""

    NONE = "none"
    """None: a terminal run needs no resuming."""
    FAILED = "failed"
    """Those that did not succeed, for a look at what went wrong."""
    ALL = "all"
    """All, until somebody removes them."""


class WorkerSettings(BaseSettings):
    """How a worker finds its services and how patient it is."""

    model_config = SettingsConfigDict(env_prefix="CIL_", extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: SecretStr = Field(
        description="SQLAlchemy URL, e.g. sqlite:////data/cil.sqlite3 or postgresql+psycopg://user:password@host/cil."
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"), description="The broker, for doorbells only."
    )
    data_dir: Path = Field(default=Path("var"), description="Holds datasets/ and checkpoints/.")

    lease_seconds: float = Field(
        default=60, gt=0, le=3600, description="How long a run stays with a worker that is not heard of."
    )
    heartbeat_seconds: float = Field(
        default=5,
        gt=0,
        description="How often a lease is renewed, a cancellation noticed and lost runs reaped.",
    )
    poll_seconds: float = Field(
        default=2, gt=0, description="How often to look for work when no doorbell rings."
    )
    grace_seconds: float = Field(
        default=10,
        ge=0,
        description="How long a child may take to finish its checkpoint when it is asked to stop.",
    )
    progress_seconds: float = Field(
        default=1,
        ge=0,
        description="At most one finished epoch a run is recorded in this time; the others are dropped.",
    )

    max_attempts: int = Field(
        default=DEFAULT_POLICY.max_attempts,
        ge=1,
        le=100,
        description="Charged attempts after which a run is dead.",
    )
    back_off_seconds: float = Field(
        default=DEFAULT_POLICY.back_off.total_seconds(),
        ge=0,
        description="Wait after the first lost attempt; each later one is longer.",
    )
    hung_minutes: float = Field(
        default=30, gt=0, description="A child that says nothing for so long is hung."
    )
    run_hours: float = Field(default=72, gt=0, description="How long one attempt may take.")
    memory_gib: float | None = Field(
        default=None,
        ge=1,
        description="Host memory a child may have, by RLIMIT_DATA; unlimited if not given.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of a child; cores divided by slots if not given."
    )
    keep_checkpoints: KeepCheckpoints = Field(
        default=KeepCheckpoints.NONE,
        description="Which finished runs keep their checkpoints: none, failed or all.",
    )
    share_first_task: bool = Field(
        default=False,
        description="Train a first task once for all methods that begin alike, in <data dir>/first-tasks; times then lack it where it was taken.",
    )
    compile_backbones: bool = Field(
        default=False,
        description="Compile backbones in runs long enough to gain from it (needs g++); the code is kept in <data dir>/compiled.",
    )

    log_format: Literal["json", "text"] | None = Field(
        default=None, description="By default text in a terminal and JSON elsewhere."
    )

    @model_validator(mode="after")
    def _lease_outlasts_heartbeats(self) -> Self:
        if self.lease_seconds < 3 * self.heartbeat_seconds:
            raise ValueError(
                f"a lease of {self.lease_seconds:g} s is shorter than three heartbeats of {self.heartbeat_seconds:g} s: it would be lost to one hiccup"
            )
        if self.lease_seconds <= self.grace_seconds + 2 * self.heartbeat_seconds:
            raise ValueError(
                f"a grace of {self.grace_seconds:g} s and two heartbeats leave nothing of a lease of {self.lease_seconds:g} s"
            )
        return self

    @property
    def lease(self) -> timedelta:
        """The lease as the store takes it."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def retry(self) -> RetryPolicy:
        """When a lost run is tried again, as the store takes it."""
        return RetryPolicy(max_attempts=self.max_attempts, back_off=timedelta(seconds=self.back_off_seconds))

    @property
    def memory_bytes(self) -> int | None:
        """Host memory a child may have."""
        return None if self.memory_gib is None else int(self.memory_gib * 2**30)

    @property
    def checkpoints(self) -> Path:
        """The directory with one folder a run, and in it one an attempt."""
        return self.data_dir / "checkpoints"

    @property
    def datasets(self) -> Path:
        """The root under which the engine looks for data."""
        return self.data_dir / "datasets"
