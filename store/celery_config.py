"""The doorbell's name and manners: what whoever rings (the API, the reaper) and whoever listens (a worker) must agree on.

Decisions:
    * The message says only "there is work on this queue". Losing, repeating or delaying one changes nothing but how soon a worker looks.
    * A ring waits for nobody: it is sent after the commit, is not retried, and is worthless after a minute.
    * JSON only, no result backend. Nothing here imports Celery: these are values for its configuration.
"""

from __future__ import annotations

from typing import Any, Final

MESSAGE: Final = "cil.doorbell"
"""Name of the one Celery message; it has no arguments."""

DEFAULT_QUEUE: Final = "cil"
"""Where jobs wait unless they name another queue."""

CELERY_CONFIG: Final[dict[str, Any]] = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_backend": None,
    "task_ignore_result": True,
    "task_default_queue": DEFAULT_QUEUE,
    "broker_connection_timeout": 2.0,
    "broker_transport_options": {"max_retries": 0, "socket_connect_timeout": 2.0, "socket_timeout": 5.0},
}
"""`Celery(...).conf.update(CELERY_CONFIG)` on both sides. Without `max_retries` a ring would block for as long as Redis is away."""

RING_OPTIONS: Final[dict[str, Any]] = {"expires": 60, "retry": False, "ignore_result": True}
"""`app.send_task(MESSAGE, queue=…, **RING_OPTIONS)`; raises `kombu.exceptions.OperationalError` when Redis is away, which the caller may log and forget."""
