"""The commands as a user types them, and the settings behind them."""

import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from workers.cli import spec_file
from workers.parent.settings import WorkerSettings


def call(command, *arguments, **environment):
    code = f"import typer; from workers.cli.commands import {command}; typer.run({command})"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_importing_the_commands_imports_nothing_heavy():
    heavy = {"torch", "sqlalchemy", "celery", "pydantic", "numpy"}
    code = f"import sys, workers.cli.commands; print(*sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == ""


def test_a_worker_without_a_database_names_the_missing_setting():
    done = call("worker")
    assert done.returncode == 2
    assert done.stderr.startswith("CIL_DATABASE_URL: ")


def test_a_worker_refuses_a_device_that_does_not_work(sqlite_url, tmp_path):
    done = call("worker", "--device", "cuda:99", "--data-dir", tmp_path, CIL_DATABASE_URL=sqlite_url)
    assert done.returncode == 2
    assert "cuda:99 does not work here" in done.stderr


def test_a_worker_that_compiles_refuses_to_start_without_a_compiler(sqlite_url, tmp_path):
    done = call(
        "worker",
        "--data-dir",
        tmp_path,
        CIL_DATABASE_URL=sqlite_url,
        CIL_COMPILE_BACKBONES="true",
        PATH=str(tmp_path),
    )
    assert done.returncode == 2
    assert "needs the C++ compiler g++" in done.stderr


def test_a_compiled_run_is_refused_without_a_compiler(tmp_path):
    spec = tmp_path / "spec.json"
    spec.write_text(
        json.dumps({"method": {"name": "finetune"}, "track": "digits-b0-inc2-m0-convnet", "seed": 1})
    )
    done = call("run", "--compile", spec, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cil run: --compile needs the C++ compiler g++")


def test_a_worker_refuses_a_database_without_the_schema_it_needs(tmp_path):
    done = call("worker", "--data-dir", tmp_path, CIL_DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite")
    assert done.returncode == 2
    assert "run the migrations first" in done.stderr


def test_the_summary_follows_from_the_printed_result(reference):
    last = reference["tasks"][-1]
    accuracy = sum(last["results"]["linear"]["correct"]) / sum(last["test_images"])
    assert reference["summary"]["linear"]["last_accuracy"] == pytest.approx(accuracy)
    assert len(reference["summary"]["nme"]["curve"]) == len(reference["tasks"]) == 5
    assert all(task["seconds"] > 0 for task in reference["tasks"])
    assert reference["environment"]["device"] == "cpu"


NO_TRACK = '{"method": {"name": "finetune"}, "seeds": [1]}'
NO_METHOD = '{"method": {"name": "nonsense"}, "track": "digits-b0-inc2-m0-convnet", "seed": 1}'


@pytest.mark.parametrize("content", ["[1]", "{", NO_TRACK, NO_METHOD, '{"seeds": [1, 1]}'])
def test_an_invalid_spec_file_is_refused(tmp_path, content):
    spec = tmp_path / "spec.json"
    spec.write_text(content)
    with pytest.raises(ValueError, match=r"spec|property|validation"):
        spec_file.read(spec)


def test_cil_run_names_the_invalid_field(tmp_path):
    spec = tmp_path / "spec.json"
    spec.write_text(NO_TRACK)
    done = call("run", spec)
    assert done.returncode == 2
    assert "spec.json: /track: Field required" in done.stderr
    assert done.stdout == ""


def test_cil_run_reports_the_reason_of_a_failure(tmp_path):
    spec = tmp_path / "spec.json"
    spec.write_text(
        json.dumps({"method": {"name": "finetune"}, "track": "digits-b20-inc2-m0-convnet", "seeds": [7]})
    )
    done = call("run", spec)
    assert done.returncode == 1
    assert "seed 7: InvalidSpec: the first task has 20 classes" in " ".join(done.stderr.split())


def test_gc_deletes_only_with_free(workshop, recipes):
    run_id = workshop.submit(recipes["quick"])
    workshop.cancel(run_id)
    folder = workshop.settings().checkpoints / run_id
    folder.mkdir(parents=True)
    environment = {
        "CIL_DATABASE_URL": workshop.url,
        "CIL_DATA_DIR": str(workshop.directory),
        "COLUMNS": "200",
    }
    shown = call("gc", **environment)
    assert "deletable" in shown.stdout
    assert folder.exists()
    freed = call("gc", "--free", **environment)
    assert "deleted" in freed.stdout
    assert not folder.exists()
    assert call("gc", "--keep", "some", **environment).returncode == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"lease_seconds": 10, "heartbeat_seconds": 5},
        {"lease_seconds": 12, "heartbeat_seconds": 1, "grace_seconds": 10},
        {"memory_gib": 0.1},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong):
    with pytest.raises(ValidationError):
        WorkerSettings(database_url="sqlite:///x", **wrong)


def test_no_secret_is_shown_with_the_settings():
    settings = WorkerSettings(
        database_url="postgresql+psycopg://u:very-secret@host/db", redis_url="redis://:very-secret@host"
    )
    assert "very-secret" not in repr(settings)
