"""`cil up` with damaged files, with obstacles, and with an external database and Redis.

tests/test_end_to_end.py runs jobs on it.
"""

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
import redis as redis_client
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from sqlalchemy import text

from api.stack import ports, redis_server

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


def test_an_external_database_and_redis_are_used(
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
def test_an_obstacle_is_reported_in_one_line_and_nothing_is_left_running(
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


def test_a_url_holds_the_address_that_reaches_the_service() -> None:
    assert ports.url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert ports.url("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert ports.url("::", 80) == "http://[::1]:80"
    assert ports.url("cil.example.org", 80) == "http://cil.example.org:80"


@pytest.fixture
def damaged_redis_file(tmp_path: Path) -> bytes:
    """The content of a real append-only file in the data directory, damaged in the middle."""
    folder = tmp_path / "data" / "redis"
    folder.mkdir(parents=True)
    server = redis_server.configure(folder)
    with subprocess.Popen(server.command, stdout=subprocess.DEVNULL) as process:
        with redis_client.from_url(server.url, retry=Retry(ConstantBackoff(0.1), 100)) as connection:
            for number in range(50):
                connection.set(f"key {number}", "value")
        process.kill()
    path = folder / "appendonly.aof"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    return path.read_bytes()


def test_a_stack_starts_on_the_files_that_a_power_cut_leaves(
    up: Started, eventually, tmp_path: Path, damaged_redis_file: bytes
) -> None:
    data = tmp_path / "data"
    (data / "processes.json").touch()
    (data / "connection.json").write_text('{"server": "http://127')
    (data / "token").write_bytes(b"\0\xff" * 20)
    (data / "secret").touch()
    (data / "up.lock").write_bytes(b"\0" * 10)
    process = up("--port", "0")
    assert "ready" in process.stdout.readline()
    connection = json.loads((data / "connection.json").read_text())
    headers = {"Authorization": f"Bearer {connection['token']}"}
    assert httpx.get(f"{connection['server']}/readyz", trust_env=False).is_success
    answer = httpx.post(f"{connection['server']}/api/v1/jobs", json={}, headers=headers, trust_env=False)
    assert answer.status_code == 422  # authenticated
    eventually(lambda: list((data / "redis").glob("appendonly.aof.damaged-*")))
    (kept,) = (data / "redis").glob("appendonly.aof.damaged-*")
    assert kept.read_bytes() == damaged_redis_file
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"its append-only file, which is kept as {kept}" in errors
    assert f"{data / 'processes.json'} is damaged" in errors
    assert f"{data / 'secret'} is damaged" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("cil.sqlite3", b"no database" * 100, "the database is damaged (file is not a database)"),
        ("token", None, "token: Is a directory; move it away"),
        ("secret", None, "secret: Is a directory; move it away"),
        ("processes.json", None, "processes.json: Is a directory; move it away"),
        ("connection.json", None, "connection.json: "),
        ("redis", b"", "redis: File exists; move it away"),
        ("logs", b"", "logs: File exists; move it away"),
    ],
)
def test_a_file_that_cannot_be_made_again_is_named(
    up: Started, tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "data" / name
    if content is None:
        path.mkdir(parents=True)
    else:
        path.parent.mkdir()
        path.write_bytes(content)
    process = up("--port", "0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaint in errors
    assert "Traceback" not in errors
