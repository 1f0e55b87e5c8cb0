"""The running service conforms to its OpenAPI document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SEEMINGLY_VALID = "positive_data_acceptance"
"""Excluded: no schema can state that two tracks are comparable or that this service signed a cursor."""


def check(url: str, token: str, folder: Path, *options: str) -> None:
    """Run schemathesis against the service and fail with its report."""
    command = [str(Path(sys.executable).parent / "st"), "run", f"{url}/api/v1/openapi.json"]
    common = ["--exclude-checks", SEEMINGLY_VALID, "--seed", "1", "--max-examples", "12", "--no-color"]
    done = subprocess.run(
        [*command, *common, *options, "-H", f"Authorization: Bearer {token}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested:" in done.stdout


@pytest.fixture
def busy(service_of: Any) -> Any:
    """A service without limits on submissions."""
    return service_of(writes_per_minute=1_000_000, max_queued_runs=1_000_000)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_response_is_documented(busy, serving_of, a_job, tmp_path: Path) -> None:
    with serving_of(busy) as served, served.client() as client:
        assert client.post("/api/v1/jobs", json=a_job("icarl")).status_code == 202
        busy.complete_all()
        check(served.url, busy.token, tmp_path, "--phases", "examples,fuzzing")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_event_of_a_stream_is_documented(busy, serving_of, a_job, tmp_path: Path) -> None:
    with serving_of(busy) as served, served.client() as client:
        job = client.post("/api/v1/jobs", json=a_job("icarl")).json()
        busy.complete_all()
        (tmp_path / "schemathesis.toml").write_text(f'[parameters]\n"path.job_id" = "{job["id"]}"\n')
        check(served.url, busy.token, tmp_path, "--include-path-regex", "events", "--phases", "fuzzing")
