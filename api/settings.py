"""`Settings`: the API's environment variables, `CIL_…`.

Decisions:
    * The database has no default: a missing variable is an error, never a service on an empty SQLite file.
    * Without a Redis URL workers receive no wake-ups and find runs by polling every few seconds.
    * Limits protect the machines behind the service; each refusal states the limit.
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

    database_url: str = Field(
        description="`sqlite:///PATH` or `postgresql+psycopg://USER:PASSWORD@HOST/NAME`."
    )
    redis_url: str | None = Field(
        default=None,
        description="Redis that wakes up workers and shares rate limits, e.g. redis://localhost:6379/0.",
    )
    secret_key: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32)),
        min_length=16,
        description="Signs page cursors. API processes behind one address need the same key; "
        "by default each process draws its own.",
    )
    log_format: Literal["json", "text"] | None = Field(
        default=None, description="Format of the log; by default text in a terminal and JSON elsewhere."
    )
    max_epochs: int = Field(default=1000, ge=1, description="Most epochs of one schedule.")
    max_seeds: int = Field(default=20, ge=1, le=100, description="Most seeds of one job.")
    max_queued_runs: int = Field(default=500, ge=1, description="Most queued and running runs per user.")
    writes_per_minute: int = Field(
        default=600, ge=1, description="Most writing requests per token and minute."
    )
    failures_per_minute: int = Field(
        default=60, ge=1, description="Most requests with invalid tokens per address and minute."
    )
    snapshots_per_minute: int = Field(default=6, ge=1, description="Most snapshots per address and minute.")
    max_body_bytes: int = Field(default=64 * 1024, ge=1024, description="Largest request body, in bytes.")
    max_json_depth: int = Field(default=16, ge=4, le=200, description="Deepest nesting of a JSON body.")
    event_poll: timedelta = Field(
        default=timedelta(seconds=0.5),
        description="Interval between reads of the event log while event streams are open.",
    )
    max_event_streams_per_address: int = Field(
        default=500, ge=1, description="Most open event streams per address."
    )
    max_event_streams: int = Field(default=1000, ge=1, description="Most open event streams per API process.")
