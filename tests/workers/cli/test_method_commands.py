"""`cil method` and `cil run --method`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from workers.cli.commands import run
from workers.cli.method_commands import method

EXAMPLES = Path(__file__).parents[3] / "examples"
SPEC, FILE = EXAMPLES / "adjusted_replay.json", EXAMPLES / "adjusted_replay.py"


def call_method(*arguments: object) -> Result:
    return CliRunner().invoke(method, [str(argument) for argument in arguments])


def call_run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(run)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_new_method_is_a_file_of_that_name(tmp_path: Path) -> None:
    done = call_method("new", "my-method")
    assert (done.exit_code, done.output) == (0, "wrote my_method.py; next: cil method check my_method.py\n")
    text = (tmp_path / "my_method.py").read_text()
    assert 'title = "My method"' in text
    assert "METHOD = MyMethod" in text


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("years of work")
    done = call_method("new", "mine")
    assert (done.exit_code, done.stderr) == (2, "cannot write mine.py: File exists\n")
    assert (tmp_path / "mine.py").read_text() == "years of work"


@pytest.mark.parametrize("name", ["Mine", "my_method", "none", "-x", "a" * 41])
def test_an_invalid_name_is_refused(name: str, tmp_path: Path) -> None:
    assert call_method("new", "--", name).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import os\n")
    for done in (call_method("check", "bad.py"), call_run(SPEC, "--method", "bad.py")):
        assert done.exit_code == 2
        assert done.stderr.startswith("bad.py: line 1: the import of os; allowed: ")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"method": {"strength": 9.0}}, "/method/strength: Input should be less than or equal to 4"),
        ({"method": {"name": "icarl"}}, "the file defines the method 'adjusted-replay', not 'icarl'"),
        ({"track": "nowhere"}, "/track: Value error, 'nowhere' is not a track slug"),
        ({"seeds": []}, "/seeds: Value error, at least one seed is required"),
    ],
)
def test_a_mistake_in_the_spec_is_reported_before_training(
    tmp_path: Path, changes: dict[str, object], refusal: str
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(json.loads(SPEC.read_text()) | changes))
    done = call_run(spec, "--method", FILE)
    assert done.exit_code == 2
    assert refusal in done.stderr
