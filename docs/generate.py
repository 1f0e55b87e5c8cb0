"""Writes what documents show of the code: the settings and fidelity tables, and quoted files.

    python docs/generate.py           write
    python docs/generate.py --check   exit with 1 if a document is out of date

A document quotes a file between `<!-- file: PATH -->` and `<!-- end -->`; the text between them is generated.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from api.settings import Settings
from cil_core.spec import fidelity
from workers.parent.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
QUOTING = ("README.md", "CONTRIBUTING.md")
QUOTE = re.compile(r"<!-- file: (?P<path>\S+) -->\n.*?<!-- end -->", re.DOTALL)
LANGUAGES = {".py": "python", ".json": "json", ".sh": "bash"}

CLIENT = (
    ("CIL_SERVER", "", "Address of the service, for `cil` and the Python client; `cil login` stores one."),
    ("CIL_TOKEN", "", "Token for writing; `cil login` stores one."),
    (
        "CIL_DATA_DIR",
        "",
        "Data directory of an embedded service on this machine, whose connection `cil` uses.",
    ),
)


def settings_page() -> str:
    """Every `CIL_*` variable, by the process that reads it."""
    parts = [
        "# Settings",
        "Every setting is an environment variable. An empty one counts as unset. Durations state their unit.",
        "Several API processes behind one address need the same `CIL_SECRET_KEY`: it signs page cursors.",
        *_section("API", [*_rows(Settings)]),
        *_section("Workers", [*_rows(WorkerSettings)]),
        *_section("Command line and Python client", list(CLIENT)),
    ]
    return "\n\n".join(parts) + "\n"


def quoted(text: str) -> str:
    """A document with the files it quotes as they are now."""
    return QUOTE.sub(_quote, text)


def documents() -> dict[Path, str]:
    """Each generated document with its current text."""
    pages = {ROOT / "docs" / "settings.md": settings_page(), ROOT / "docs" / "fidelity.md": fidelity.page()}
    return pages | {ROOT / name: quoted((ROOT / name).read_text()) for name in QUOTING}


def _section(title: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f"## {title}"
    lines = [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in rows]
    yield "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *lines])


def _rows(settings: type[BaseSettings]) -> Iterator[tuple[str, str, str]]:
    for name, field in settings.model_fields.items():
        if not field.description:
            raise SystemExit(f"{settings.__name__}.{name} has no description")
        yield (
            f"CIL_{name.upper()}",
            _default(field.is_required(), field.default, field.default_factory),
            (field.description.replace("|", "\\|")),
        )


def _default(required: bool, default: object, factory: object) -> str:
    if required:
        return "required"
    if factory is not None:
        return "drawn at start"
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    if hasattr(value, "total_seconds"):
        value = f"{value.total_seconds():g} s"
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _quote(match: re.Match[str]) -> str:
    path = ROOT / match["path"]
    language = LANGUAGES[path.suffix]
    return f"<!-- file: {match['path']} -->\n```{language}\n{path.read_text().rstrip()}\n```\n<!-- end -->"


def main() -> int:
    """Write the documents, or with `--check` name those that are out of date."""
    parser = argparse.ArgumentParser(description="Generate documentation from the code.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if something is out of date"
    )
    check = parser.parse_args().check
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date: run `make docs`\n")
        else:
            path.write_text(documents()[path])
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
