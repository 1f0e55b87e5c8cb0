"""Pages are tested on SQLite: other tests cover the databases. One test opens every page on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, databases: Any) -> Iterator[str]:
    with databases.url(request.param) as url:
        yield url


@pytest.fixture(scope="module")
def finished(finished_on: Any) -> Iterator[httpx.Client]:
    with finished_on("sqlite") as client:
        yield client
