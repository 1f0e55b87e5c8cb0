"""What the compose file and the images start exists, and is what the tests run; no secret stands in a file."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "api", "worker", "worker-gpu")
STAGES = dict(
    re.findall(r"^FROM \S+ AS (\w+)\n((?:(?!FROM ).*\n?)*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
)


def migrate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
    command = [sys.executable, "-m", "migrations", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_of_the_migrate_service_brings_a_database_to_the_newest_schema(
    empty_database_url: str,
) -> None:
    import migrations

    assert SERVICES["migrate"]["command"] == ["python", "-m", "migrations", "upgrade"]
    assert migrate("current", CIL_DATABASE_URL=empty_database_url).stdout == "empty\n"
    for _ in range(2):
        done = migrate("upgrade", CIL_DATABASE_URL=empty_database_url)
        assert (done.returncode, done.stdout) == (0, f"{migrations.HEAD}\n")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ((), {"CIL_DATABASE_URL": "sqlite:///x"}),
        (("upgrade",), {}),
        (("sideways",), {"CIL_DATABASE_URL": "x"}),
    ],
)
def test_a_wrong_call_of_it_says_how_it_is_called(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    done = migrate(*arguments, **environment)
    assert (done.returncode, "usage: CIL_DATABASE_URL=" in done.stderr) == (2, True)


def test_every_service_waits_for_what_it_needs_and_may_finish_what_it_does() -> None:
    assert set(SERVICES) == {"postgres", "redis", *OURS}
    for name in ("api", "worker", "worker-gpu"):
        needs = SERVICES[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["redis"]["condition"] == "service_healthy"
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= 30
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "redis"))
    assert "HEALTHCHECK" in STAGES["api"]
    volumes = {
        volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())
    }
    assert volumes == set(COMPOSE["volumes"])


def test_redis_keeps_what_it_is_given() -> None:
    assert SERVICES["redis"]["command"] == [
        "redis-server",
        "--appendonly",
        "yes",
        "--maxmemory-policy",
        "noeviction",
    ]


def test_the_gpu_worker_starts_only_when_asked_for_and_gets_a_gpu() -> None:
    worker = SERVICES["worker-gpu"]
    assert worker["profiles"] == ["gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_no_secret_stands_in_the_compose_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("PASSWORD", "SECRET")):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), name
            assert not re.search(r"://\w+:(?!\$\{)[^@]+@", str(value))


def test_what_the_images_start_is_there() -> None:
    assert set(STAGES) == {"base", "api", "worker"}
    factory = re.search(r'"uvicorn", "([\w.]+):(\w+)", "--factory"', STAGES["api"])
    assert factory
    assert callable(getattr(importlib.import_module(factory[1]), factory[2]))
    assert "'.[server]'" in STAGES["api"]
    assert "torch" not in STAGES["api"]
    assert "'.[worker]'" in STAGES["worker"]
    for command in (SERVICES["worker"]["command"], SERVICES["worker-gpu"]["command"]):
        words = [sys.executable, "-m", "api.client", command[1], "--help"]
        usage = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
        assert all(option in usage for option in command[2:] if option.startswith("--"))
