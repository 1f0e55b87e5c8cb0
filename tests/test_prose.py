"""Prose that a native engineer would not write stays out of public text, docstrings, comments and documents.

`python -m tests.test_prose [PATH …]` lists what it finds, for a change under way.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("api", "benchmarks", "cil_core", "docs", "examples", "migrations", "store", "workers")
DOCUMENTS = (".md", ".html")

_NOUNS = (
    "task|class|run|seed|job|worker|paper|method|value|row|line|user|token|process|image|second|minute|page|entry"
    "|event|attempt|track|epoch|step|name|kind|package|module"
)

DENIED = {
    r"\b(nobody|somebody|whoever|whomever|whatever|anew|shall|hereupon)\b": "name the subject",
    r"\b(is|are|was|were|has|have) gone\b|\bgone,": "missing, deleted, stopped",
    r"\bgo(es)? on\b|\bwent on\b|\bcarr(y|ies|ied) on\b": "continue, resume",
    r"\b(stands?|stood|standing) (in|on|for|there|beside|by|alone|together|twice|apart|whole|at)\b": "is",
    r"\btold\b": "report, return, pass",
    r"\b(is|are|was|were|be|been) asked\b|\basks? for\b": "request, query",
    r"\basked (for|of|in|when|what|last|by)\b": "request, query",
    r"\b(is|are|was) there[.,;:)]|\bunless it is\b[.,;:]|\bthere is no such\b": "exists, is available",
    r"\b(heard of|hears? of|as it should be|of our own making|have again|had again)\b": "plain words",
    rf"\b(one|two|three|four|\d+) [a-z]+s? an? ({_NOUNS})\b": "per",
    r"\bdoorbell\b": "wake-up, listener, ringer",
    r"\bby itself\b.{0,20}\bdoes\b|\bdoes by itself\b": "plain words",
    r"\bto be had\b|\bmust be had\b": "available",
    r"\b(is|are) (mended|wished|wanted)\b": "fixed, requested",
}
"""Pattern → what to write instead."""

ALLOWED = (
    ("store/celery_config.py", "cil.doorbell"),
    ("docs/decisions/0025-one-celery-process-that-never-imports-pytorch.md", "cil.doorbell"),
)
"""Literal uses: path, and a part of the line."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of everything in a file that a person reads."""
    content = path.read_text(encoding="utf-8")
    if path.suffix in DOCUMENTS:
        yield from enumerate(content.split("\n"), start=1)
        return
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from enumerate(node.value.split("\n"), start=node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def findings(path: Path) -> list[str]:
    """The denied phrases of a file, as `path:line: phrase in text -> advice`."""
    name = str(path.relative_to(ROOT))
    allowed = [part for where, part in ALLOWED if where == name]
    return [
        f"{name}:{line}: {match[0]!r} in {text.strip()[:90]!r} -> {advice}"
        for line, text in texts(path)
        if not any(part in text for part in allowed)
        for pattern, advice in DENIED.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


def read_by_people() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split() if name.endswith((".py", *DOCUMENTS))]
    return [ROOT / name for name in names if name.split("/")[0] in PACKAGES or name.endswith(".md")]


@pytest.mark.parametrize("path", read_by_people(), ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_plain_english(path: Path) -> None:
    assert findings(path) == []


def test_the_allow_list_is_short() -> None:
    assert len(ALLOWED) < 20


def test_a_denied_phrase_is_found(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""Whoever asks is told."""\n\nNAME = "fine"  # nobody reads this\n')
    words = [
        word
        for _, text in texts(file)
        for pattern in DENIED
        for word in re.findall(pattern, text, re.IGNORECASE)
    ]
    assert len(words) == 3


if __name__ == "__main__":
    chosen = [Path(argument).resolve() for argument in sys.argv[1:]]
    for file in read_by_people():
        if not chosen or any(file.is_relative_to(place) for place in chosen):
            for finding in findings(file):
                sys.stdout.write(f"{finding}\n")
