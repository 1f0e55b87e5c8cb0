"""The small install: the client works with its own requirements alone, and answers at once."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

PROJECT = "cil-leaderboard"
BLOCKED = """
import sys
class OnlySmall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, OnlySmall())
sys.argv = ["cil", *{arguments!r}]
from api.client.cli import main
main()
"""


@cache
def small_install() -> set[str]:
    """Distributions that `pip install cil-leaderboard` brings, those they require included."""
    found: set[str] = set()
    waiting = [PROJECT]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            required = [
                re.match(r"[\w.-]+", line)[0] for line in requires(name) or () if "extra ==" not in line
            ]
            waiting += [
                one for one in map(normal, required) if one in installed()
            ]  # not what another platform or Python needs
    return found


@cache
def installed() -> set[str]:
    return {normal(name) for names in packages_distributions().values() for name in names}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def beyond() -> frozenset[str]:
    """Modules that the small install does not bring."""
    return frozenset(
        module
        for module, names in packages_distributions().items()
        if not {normal(name) for name in names} & small_install()
    )


def small_cil(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`cil` in a fresh interpreter that can import nothing beyond the small install."""
    code = BLOCKED.format(blocked=set(beyond()), arguments=arguments)
    environment |= {"PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("home"))


def test_the_small_install_brings_neither_server_nor_engine() -> None:
    assert {"torch", "fastapi", "sqlalchemy", "numpy", "celery", "redis", "alembic", "scipy"} <= beyond()
    assert beyond().isdisjoint({"httpx", "pydantic", "rich", "typer", "httpcore", "pydantic_core"})


def test_every_command_is_listed(home) -> None:
    done = small_cil("--help", HOME=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"submit", "watch", "leaderboard", "worker", "up", "run"} <= {
        line.split()[0] for line in done.stdout.splitlines() if line.strip()
    }


def test_a_job_is_submitted_and_read(served, service, home) -> None:
    connection = {"HOME": home, "CIL_SERVER": served.url, "CIL_TOKEN": service.token}
    done = small_cil("submit", "-m", "replay", "-t", "digits-b0-inc2-m50-convnet", **connection)
    assert (done.returncode, done.stderr) == (0, "")
    service.complete_all()
    for command in (("jobs",), ("leaderboard", "digits-b0-inc2-m50-convnet"), ("methods", "replay")):
        done = small_cil(*command, **connection)
        assert done.returncode == 0, done.stderr
        assert "replay" in done.stdout.lower()


@pytest.mark.parametrize(("command", "extra"), [("worker", "worker"), ("up", "embedded")])
def test_a_command_that_needs_more_says_what_to_install(command, extra, home) -> None:
    done = small_cil(command, HOME=home, CIL_DATABASE_URL=f"sqlite:///{home}/cil.sqlite3")
    assert done.returncode == 2
    assert f"pip install 'cil-leaderboard[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_answers_at_once() -> None:
    """Measured against the interpreter's own start, so that a busy machine slows both."""
    cil = Path(sys.executable).with_name("cil")

    def seconds(*command: str) -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began

    pairs = [(seconds(str(cil), "--help"), seconds(sys.executable, "-c", "import typer")) for _ in range(5)]
    assert min(ours / bare for ours, bare in pairs) < 4, pairs
