"""The settings of a worker: environment variables that begin with `CIL_`.

Decisions:
    * Durations carry their unit in the name. The documentation states the recovery times of the defaults;
      tests shorten them.
    * `CIL_DATABASE_URL` holds the whole connection: other variables (`PGPASSWORD` …) are dropped before any
      process starts, so that the child that runs an experiment holds no secret.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from store.runs import DEFAULT_POLICY, RetryPolicy
from workers.sandbox import Mode


class KeepCheckpoints(StrEnum):
    """Which finished runs keep their checkpoints."""

    NONE = "none"
    """No finished run: none of them resumes."""
    FAILED = "failed"
    """Runs that did not succeed, for a diagnosis."""
    ALL = "all"
    """All, until an administrator deletes them."""


class Community(StrEnum):
    """The sandbox of runs of submitted files."""

    OFF = "off"
    """No such runs."""
    LOCKED = Mode.LOCKED.value
    """Landlock, seccomp and limits."""
    WALLED = Mode.WALLED.value
    """Namespaces as well."""


class WorkerSettings(BaseSettings):
    """The services, intervals and limits of a worker."""

    model_config = SettingsConfigDict(env_prefix="CIL_", extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: SecretStr = Field(
        description="SQLAlchemy URL, e.g. sqlite:////data/cil.sqlite3 or postgresql+psycopg://user:password@host/cil."
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="The message broker, which only wakes workers up.",
    )
    data_dir: Path = Field(default=Path("var"), description="Holds datasets/ and checkpoints/.")

    lease_seconds: float = Field(
        default=60, gt=0, le=3600, description="How long a run stays with a worker that sends no heartbeat."
    )
    heartbeat_seconds: float = Field(
        default=5,
        gt=0,
        description="How often a worker renews leases, reads cancellations and reaps lost runs.",
    )
    poll_seconds: float = Field(
        default=2, gt=0, description="How often a worker looks for runs without a wake-up."
    )
    grace_seconds: float = Field(
        default=10,
        ge=0,
        description="How long a child may take to finish its checkpoint after a request to stop.",
    )
    progress_seconds: float = Field(
        default=1,
        ge=0,
        description="At most one finished epoch per run is recorded in this time; the others are dropped.",
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
        default=30, gt=0, description="A child without a report for this time is hung."
    )
    run_hours: float = Field(default=72, gt=0, description="Longest duration of one attempt.")
    memory_gib: float | None = Field(
        default=None,
        ge=1,
        description="Host memory per child, shared anonymous memory included; unlimited by default.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads per child; by default cores divided by slots."
    )
    keep_checkpoints: KeepCheckpoints = Field(
        default=KeepCheckpoints.NONE,
        description="Which finished runs keep their checkpoints: none, failed or all.",
    )
    share_first_task: bool = Field(
        default=False,
        description="Train a first task once for all methods that share it, in <data dir>/first-tasks; "
        "durations of runs that load it do not contain it.",
    )
    compile_backbones: bool = Field(
        default=False,
        description="Compile backbones in runs long enough to gain from it (needs g++); "
        "<data dir>/compiled holds the code.",
    )

    community: Community = Field(
        default=Community.OFF,
        description="Sandbox for runs of submitted files: off (no such runs), locked or walled; "
        "see docs/sandbox.md.",
    )

    log_format: Literal["json", "text"] | None = Field(
        default=None, description="By default text in a terminal and JSON elsewhere."
    )

    @model_validator(mode="after")
    def _lease_outlasts_heartbeats(self) -> Self:
        if self.lease_seconds < 3 * self.heartbeat_seconds:
            raise ValueError(
                f"a lease of {self.lease_seconds:g} s is shorter than three heartbeats of "
                f"{self.heartbeat_seconds:g} s: one delay would lose it"
            )
        if self.lease_seconds <= self.grace_seconds + 2 * self.heartbeat_seconds:
            raise ValueError(
                f"a grace of {self.grace_seconds:g} s and two heartbeats are not shorter than a lease of "
                f"{self.lease_seconds:g} s"
            )
        return self

    @property
    def lease(self) -> timedelta:
        """The length of a lease, as a type of the store."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def retry(self) -> RetryPolicy:
        """When a lost run is retried, as a type of the store."""
        return RetryPolicy(max_attempts=self.max_attempts, back_off=timedelta(seconds=self.back_off_seconds))

    @property
    def memory_bytes(self) -> int | None:
        """Host memory per child."""
        return None if self.memory_gib is None else int(self.memory_gib * 2**30)

    @property
    def checkpoints(self) -> Path:
        """The directory with one folder per run, which has one folder per attempt."""
        return self.data_dir / "checkpoints"

    @property
    def datasets(self) -> Path:
        """The engine's root folder of datasets."""
        return self.data_dir / "datasets"
