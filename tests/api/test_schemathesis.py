"""Whatever the OpenAPI document allows and forbids is sent to the running service, and every answer must be one it documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SEEMINGLY_VALID = "positive_data_acceptance"
"""Not asked: that two tracks can be compared, or that a cursor was signed here, no schema can say."""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_request_made_from_the_document_breaks_its_promises(
    service_of, serving_of, a_job, tmp_path: Path
) -> None:
    service = service_of(writes_per_minute=1_000_000, max_queued_runs=1_000_000)
    with serving_of(service) as served, served.client() as client:
        assert client.post("/api/v1/jobs", json=a_job("icarl")).status_code == 202
        service.complete_all()
        command = [
            str(Path(sys.executable).parent / "st"),
            "run",
            f"{served.url}/api/v1/openapi.json",
            "--exclude-path-regex",
            "events",
        ]
        options = [
            "--phases",
            "examples,fuzzing",
            "--max-examples",
            "12",
            "--seed",
            "1",
            "--exclude-checks",
            SEEMINGLY_VALID,
            "--no-color",
        ]
        header = ["-H", f"Authorization: Bearer {service.token}"]
        done = subprocess.run(
            [*command, *options, *header],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested:" in done.stdout
