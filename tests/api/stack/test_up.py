"""`cil up` where something is in its way, and with a database and a Redis of somebody else. The whole way is in tests/test_end_to_end.py."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from api.stack import ports

Started = Callable[..., subprocess.Popen]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Started]:
    """`up(*options, **environment)`: the process, without workers."""
    started: list[subprocess.Popen] = []

    def begin(*options: str, **environment: str) -> subprocess.Popen:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
        command = [
            sys.executable,
            "-m",
            "api.client",
            "up",
            "--data-dir",
            str(tmp_path / "data"),
            "--workers",
            "0",
            *options,
        ]
        environment = {"XDG_CONFIG_HOME": str(tmp_path / "config"), **environment}
        started.append(
            subprocess.Popen(
                command,
                env=inherited | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_database_and_a_redis_of_somebody_else_are_used(
    up: Started, postgresql_url, redis_url, databases, tmp_path
) -> None:
    process = up("--port", "0", CIL_DATABASE_URL=postgresql_url, CIL_REDIS_URL=redis_url)
    assert "ready" in process.stdout.readline()
    connection = json.loads((tmp_path / "data" / "connection.json").read_text())
    assert httpx.get(f"{connection['server']}/readyz", trust_env=False).is_success
    assert [row["name"] for row in json.loads((tmp_path / "data" / "processes.json").read_text())] == ["api"]
    assert not (tmp_path / "data" / "cil.sqlite3").exists()
    with databases.opened(postgresql_url) as database, database.reading() as session:
        assert session.execute(text("SELECT name FROM users")).scalars().all() == ["local"]
    assert json.loads((tmp_path / "config" / "cil" / "running.json").read_text()) == connection


@pytest.mark.parametrize(
    ("options", "environment", "complaint"),
    [
        (
            ("--port", "0"),
            {"CIL_DATABASE_URL": "mysql://root@localhost/x"},
            "CIL_DATABASE_URL: 'mysql' databases are not supported",
        ),
        (("--port", "0"), {"CIL_DATABASE_URL": "nonsense"}, "CIL_DATABASE_URL: "),
        (("--port", "0"), {"CIL_DATABASE_URL": "sqlite:////nowhere/at/all"}, "the database cannot be opened"),
        (("--port", "0", "--host", "192.0.2.1"), {}, "cannot listen on 192.0.2.1"),
    ],
)
def test_what_is_in_the_way_is_said_in_one_line_and_nothing_is_left_running(
    up: Started, tmp_path, options, environment, complaint
) -> None:
    process = up(*options, **environment)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaint in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "data" / "processes.json").exists()


@pytest.mark.parametrize("name", ["%41", "a?mode=memory", 'say "a\\b"', "#1 100%", "it's\ttabbed"])
def test_a_data_directory_may_have_any_name(up: Started, tmp_path: Path, name: str) -> None:
    data = tmp_path / "parent" / name
    process = up("--port", "0", "--data-dir", str(data))
    assert "ready" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert [path.name for path in (tmp_path / "parent").iterdir()] == [name]
    assert (data / "cil.sqlite3").stat().st_size > 0
    assert (data / "redis" / "appendonly.aof").is_file()


def test_a_taken_port_is_refused(up: Started) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = up("--port", str(other.getsockname()[1]))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "give another --port" in errors


def test_addresses_are_written_as_they_are_reached() -> None:
    assert ports.url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert ports.url("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert ports.url("::", 80) == "http://[::1]:80"
    assert ports.url("cil.example.org", 80) == "http://cil.example.org:80"
