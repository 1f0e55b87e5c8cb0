"""The compose file, the images and the forge's workflow: their commands exist, and no file holds a secret."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = ("migrate", "api", "worker", "worker-gpu")
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


def test_the_migrate_service_migrates_to_the_newest_schema(
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
def test_a_wrong_call_of_migrations_prints_its_usage(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    done = migrate(*arguments, **environment)
    assert (done.returncode, "usage: CIL_DATABASE_URL=" in done.stderr) == (2, True)


def test_every_service_waits_for_its_dependencies_and_has_time_to_stop() -> None:
    assert set(SERVICES) == {"postgres", "redis", *OWN}
    for name in ("api", "worker", "worker-gpu"):
        needs = SERVICES[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["redis"]["condition"] == "service_healthy"
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= 30
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "redis"))
    assert all("HEALTHCHECK" in STAGES[name] for name in ("api", "worker"))
    volumes = {
        volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())
    }
    assert volumes == set(COMPOSE["volumes"])


def test_redis_is_durable_and_evicts_nothing() -> None:
    assert SERVICES["redis"]["command"] == [
        "redis-server",
        "--appendonly",
        "yes",
        "--maxmemory-policy",
        "noeviction",
    ]


def test_the_gpu_worker_needs_its_profile_and_reserves_a_gpu() -> None:
    worker = SERVICES["worker-gpu"]
    assert worker["profiles"] == ["gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_compose_file_holds_no_secret() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("PASSWORD", "SECRET")):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), name
            assert not re.search(r"://\w+:(?!\$\{)[^@]+@", str(value))


CODE = ("api", "cil_core", "migrations", "store", "workers")


@pytest.mark.parametrize(("stage", "extra"), [("api", "server"), ("worker", "worker")])
def test_a_change_of_code_installs_no_dependency(stage: str, extra: str) -> None:
    lines = STAGES[stage].splitlines()
    dependencies = lines.index(f"RUN pip install -c constraints.txt -r {extra}.txt")
    copied = [lines.index(f"COPY {package} {package}") for package in CODE]
    install = lines.index("RUN pip install --no-deps .")
    assert dependencies < min(copied) <= max(copied) < install
    assert lines[:dependencies] == [f"COPY --from=requirements {extra}.txt ./"]
    assert [line for line in STAGES["base"].splitlines() if line.startswith("COPY")] == [
        "COPY constraints.txt ./"
    ]


def test_the_list_of_dependencies_is_that_of_the_package(tmp_path: Path) -> None:
    (script,) = re.findall(r'^RUN python -c "(.+)"$', STAGES["requirements"], re.MULTILINE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in ("server", "worker"):
        wanted = project["dependencies"] + project["optional-dependencies"][extra]
        assert (tmp_path / f"{extra}.txt").read_text().split("\n") == wanted


def test_the_build_context_holds_what_the_images_copy() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_workflow_of_the_forge_runs_what_continuous_integration_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_commands_of_the_images_exist() -> None:
    assert set(STAGES) == {"requirements", "base", "api", "worker"}
    factory = re.search(r'"uvicorn", "([\w.]+):(\w+)", "--factory"', STAGES["api"])
    assert factory
    assert callable(getattr(importlib.import_module(factory[1]), factory[2]))
    (check,) = re.findall(r'HEALTHCHECK .*CMD \["python", "-m", "([\w.]+)"\]', STAGES["worker"])
    assert callable(importlib.import_module(check).main)
    for command in (SERVICES["worker"]["command"], SERVICES["worker-gpu"]["command"]):
        words = [sys.executable, "-m", "api.client", command[1], "--help"]
        usage = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
        assert all(option in usage for option in command[2:] if option.startswith("--"))
