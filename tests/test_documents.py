"""Documents that show code show code that works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"```(?:python|bash)\n(.*?)```", re.DOTALL)


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_generated_documents_are_current() -> None:
    run(sys.executable, "docs/generate.py", "--check", cwd=ROOT)


def test_a_document_that_is_out_of_date_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path
) -> None:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    old = tmp_path / "fidelity.md"
    old.write_text("# How closely")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "documents", lambda: {old: "# How closely each method follows its source"})
    for arguments, code in ((["--check"], 1), ([], 0), (["--check"], 0)):
        monkeypatch.setattr(sys, "argv", ["generate.py", *arguments])
        assert generate.main() == code
    assert "fidelity.md is out of date: run `make docs`" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_readme_adds_a_method_by_copy_and_paste(tmp_path: Path) -> None:
    """Follow the section in a copy of the repository; the common suite passes for the new method."""
    copy = tmp_path / "checkout"
    for name in run("git", "ls-files", cwd=ROOT).split("\n"):
        if name and not name.startswith("docs/screenshots"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    section = README[README.index("## Add a method") : README.index("## Where things are")]
    recipe, method, lines, command = BLOCK.findall(section)
    recipe_file, method_file, registry = re.findall(r"`(cil_core/\S+\.py)`", section)
    (copy / recipe_file).write_text(recipe)
    (copy / method_file).write_text(method)
    imported, entry = lines.splitlines()
    text = (copy / registry).read_text()
    text = text.replace("\n\nRECIPES", f"\n{imported}\n\nRECIPES", 1).replace(" = (\n", f" = (\n{entry}\n", 1)
    (copy / registry).write_text(text)
    words = command.strip().replace(".venv/bin/python", sys.executable).split()
    assert re.search(r"\d\d passed", run(*words, "-q", "-p", "no:cacheprovider", "-n", "0", cwd=copy))


def test_every_linked_file_exists() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_test_that_architecture_names_exists() -> None:
    named = re.findall(r"`([\w/]+/test_\w+\.py)::(\w+)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 10
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file} has no {test}"


def test_each_word_of_the_glossary_names_one_class_or_module() -> None:
    """It exists where the glossary says, and no other class of the server bears its name."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    places = re.findall(
        r"\| `([\w.]+)\.(\w+)` \|", text[text.index("## Words") : text.index("## What is promised")]
    )
    assert len(places) >= 20
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [
        name
        for name in tracked.stdout.split()
        if name.startswith(("api/", "cil_core/", "store/", "workers/"))
    ]
    sources = {name: (ROOT / name).read_text() for name in files if not name.startswith("api/client/")}
    for module, name in places:
        path = ROOT / f"{module}.{name}".replace(".", "/")
        if path.is_dir() or path.with_suffix(".py").is_file():
            continue
        defined = [
            file for file, source in sources.items() if re.search(rf"^class {name}\b", source, re.MULTILINE)
        ]
        where = module.replace(".", "/")
        assert len(defined) == 1, f"{name} is defined in {defined}"
        assert defined[0].startswith(where), f"{name} is in {defined[0]}, not in {where}"


@pytest.mark.slow
def test_your_method_in_ten_minutes_works_by_copy_and_paste(tmp_path: Path) -> None:
    commands = BLOCK.findall((ROOT / "docs" / "your-method.md").read_text())
    assert len(commands) == 3
    cil = f'cil() {{ "{sys.executable}" -m api.client "$@"; }}'
    output = run("bash", "-ec", "\n".join([cil, *commands]), cwd=tmp_path)
    assert "FAIL" not in output
    result = json.loads((tmp_path / "result.json").read_text())
    assert [one["seed"] for one in result["runs"]] == [1, 2]
    assert result["method"]["name"] == "my-method"
    assert result["failures"] == []
