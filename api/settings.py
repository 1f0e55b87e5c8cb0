"""`Settings`: everything the API takes from its environment, as `CIL_…` variables.

Decisions:
    * The database has no default: a service that silently starts on an empty SQLite file is worse than one that says what is missing.
    * Without a Redis URL nothing is rung; workers then find runs by looking every few seconds.
    * Limits protect the machines behind the service; each refusal says the limit.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The API's settings; `Settings()` reads the environment."""

    model_config = SettingsConfigDict(env_prefix="CIL_", frozen=True, extra="forbid", env_ignore_empty=True)

    database_url: str = Field(description="sqlite:///path or postgresql+psycopg://user:password@host/name.")
    redis_url: str | None = Field(
        default=None, description="Where the workers' doorbell hangs, e.g. redis://localhost:6379/0."
    )
    secret_key: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32)),
        min_length=16,
        description="Signs cursors. Several API processes behind one address need the same one; by default each start draws its own.",
    )
    log_format: Literal["json", "text"] | None = Field(
        default=None, description="By default text in a terminal and JSON elsewhere."
    )
    max_epochs: int = Field(
        default=1000, ge=1, description="Longest schedule a submission may ask for, in epochs."
    )
    max_seeds: int = Field(default=20, ge=1, le=100, description="Most seeds of one job.")
    max_queued_runs: int = Field(
        default=500, ge=1, description="Most runs one user may have queued or running."
    )
    writes_per_minute: int = Field(
        default=600, ge=1, description="Requests a token may write with in a minute."
    )
    failures_per_minute: int = Field(
        default=60, ge=1, description="Invalid tokens an address may send in a minute before it has to wait."
    )
    snapshots_per_minute: int = Field(
        default=6, ge=1, description="Snapshots of everything that an address may ask for in a minute."
    )
    max_body_bytes: int = Field(default=64 * 1024, ge=1024, description="Largest request body, in bytes.")
    max_json_depth: int = Field(default=16, ge=4, le=200, description="Deepest nesting of a JSON body.")
    event_poll: timedelta = Field(
        default=timedelta(seconds=0.5),
        description="How often the event log is read for the streams that follow it.",
    )
    max_event_streams_per_address: int = Field(
        default=500, ge=1, description="Most of these that one address may hold."
    )
    max_event_streams: int = Field(
        default=1000, ge=1, description="Most event streams one API process serves at a time."
    )
