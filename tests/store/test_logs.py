"""What the processes say: JSON lines with ids, and nothing secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from structlog.contextvars import bound_contextvars

from store import logs

TOKEN = "cil_" + "0123456789abcdef" * 4 + "deadbeef"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def said(written: str, say: object) -> str:
    out = io.StringIO()
    logs.configure(written, out)
    say()  # type: ignore[operator]
    return out.getvalue()


def test_a_line_of_json_has_no_character_that_some_readers_take_for_its_end(root: logging.Logger) -> None:
    text = "a\x85b\u2028c\u2029d é"
    line = said("json", lambda: logging.getLogger("api.x").warning(text))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == text


def test_a_line_is_json_with_what_is_bound_and_what_is_given(root: logging.Logger) -> None:
    with bound_contextvars(request_id="r1"):
        line = said(
            "json", lambda: logging.getLogger("api.x").warning("%d left", 3, extra={"run_id": "run_1"})
        )
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "3 left",
        "request_id": "r1",
        "run_id": "run_1",
        "level": "warning",
        "logger": "api.x",
    }


@pytest.mark.parametrize("written", logs.FORMATS)
def test_tokens_and_passwords_are_redacted_everywhere(root: logging.Logger, written: str) -> None:
    def stumble() -> None:
        try:
            raise RuntimeError(f"cannot reach postgresql+psycopg://cil:geheim@db/cil with {TOKEN}")
        except RuntimeError:
            logging.getLogger("x").exception("token %s", TOKEN, extra={"header": f"Bearer {TOKEN}"})

    line = said(written, stumble)
    assert "cil_012345…" in line
    assert "postgresql+psycopg://cil:***@db/cil" in line
    assert TOKEN not in line
    assert TOKEN[10:40] not in line
    assert "geheim" not in line


def test_a_traceback_stays_on_one_line_of_json(root: logging.Logger) -> None:
    def stumble() -> None:
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("x").exception("stumbled")

    (line,) = said("json", stumble).splitlines()
    assert "KeyError" in json.loads(line)["exception"]


def test_an_unknown_format_is_refused(root: logging.Logger) -> None:
    with pytest.raises(ValueError, match="CIL_LOG_FORMAT is 'xml'; allowed: json, text"):
        logs.configure("xml")
