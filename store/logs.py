"""Logs of every process of the service: one line of JSON per event, with the ids of its subject.

Decisions:
    * The code logs through `logging`; structlog formats the lines and adds the bound ids: `request_id` and
      `trace_id` of a request, `job_id`, `run_id` and `attempt` of an attempt.
    * Logs contain no secrets: tokens keep only the first characters that identify them, passwords in
      addresses are replaced. This happens on the finished line, so that it covers every field and traceback.
    * A terminal gets lines for people; CIL_LOG_FORMAT (`json` or `text`) overrides that.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from cil_core.spec.base import one_line

FORMATS = ("json", "text")

_TOKEN = re.compile(r"cil_([0-9a-f]{6})[0-9a-f]{20,}")
_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@")
_QUIET = ("celery.app.trace", "celery.worker.strategy", "alembic", "httpx")


def redacted(line: str) -> str:
    """The line without tokens and passwords."""
    return _PASSWORD.sub(r"\1:***@", _TOKEN.sub(r"cil_\1…", line))


def configure(written: str | None = None, stream: TextIO | None = None) -> None:
    """Configure the logging of this process.

    Args:
        written: `json` or `text`; None takes `text` for a terminal and `json` otherwise.
        stream: where to write; standard error if not given.

    Raises:
        ValueError: for another format.
    """
    out = stream or sys.stderr
    chosen = written or ("text" if out.isatty() else "json")
    if chosen not in FORMATS:
        raise ValueError(f"CIL_LOG_FORMAT is {chosen!r}; allowed: {', '.join(FORMATS)}")
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Formatter(chosen))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def __init__(self, written: str) -> None:
        renderer = (
            structlog.processors.JSONRenderer(serializer=_json)
            if written == "json"
            else structlog.dev.ConsoleRenderer(colors=False)
        )
        tracebacks = [] if written == "text" else [structlog.processors.format_exc_info]
        super().__init__(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _event_first,
                *tracebacks,
                renderer,
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """The finished line, without secrets."""
        return redacted(super().format(record))


def _json(event: Any, **options: Any) -> str:
    return one_line(json.dumps(event, ensure_ascii=False, **options))


def _event_first(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {"event": event.pop("event"), **event}
