"""The name and settings of the wake-up message, shared by its senders (API, reaper) and listeners (workers).

Decisions:
    * The message only says "this queue has work". A lost, repeated or late one only changes how soon a worker
      looks.
    * Sending never blocks: it happens after the commit, without retries, and the message expires after a
      minute.
    * JSON only, no result backend. Nothing here imports Celery: these are values for its configuration.
"""

from __future__ import annotations

from typing import Any, Final

MESSAGE: Final = "cil.doorbell"
"""Name of the one Celery message; it has no arguments."""

DEFAULT_QUEUE: Final = "cil"
"""The queue of jobs that name no other."""

CELERY_CONFIG: Final[dict[str, Any]] = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_backend": None,
    "task_ignore_result": True,
    "task_default_queue": DEFAULT_QUEUE,
    "broker_connection_timeout": 2.0,
    "broker_transport_options": {"max_retries": 0, "socket_connect_timeout": 2.0, "socket_timeout": 5.0},
}
"""`Celery(...).conf.update(CELERY_CONFIG)` on both sides.

Without `max_retries`, sending would block for as long as Redis is unreachable.
"""

RING_OPTIONS: Final[dict[str, Any]] = {"expires": 60, "retry": False, "ignore_result": True}
"""`app.send_task(MESSAGE, queue=…, **RING_OPTIONS)`.

It raises `kombu.exceptions.OperationalError` when Redis is unreachable; the caller may log that and continue.
"""
