"""`Ringer`: wakes up workers when a run is queued.

Decisions:
    * A ring follows the commit and has no answer. The run waits in the database, which workers query every
      few seconds. A lost ring costs these seconds only, so a failure is logged and not retried.
    * Without a responding Redis a ring takes about a second. It follows the HTTP response, so no client waits
      for it.
    * After a failure the ringer pauses for a few seconds, so that submissions do not queue up behind Redis.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from store.celery_config import CELERY_CONFIG, MESSAGE, RING_OPTIONS

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 5.0
PING_SECONDS = 0.25


class Ringer:
    """Sends wake-ups through one Redis.

    Args:
        redis_url: the broker; None for a service without one.
    """

    def __init__(self, redis_url: str | None) -> None:
        self._celery = _celery(redis_url) if redis_url else None
        self._redis_url = redis_url
        self._paused_until = self._check_again_at = 0.0
        self._is_away = False

    @property
    def is_away(self) -> bool:
        """Whether Redis did not respond lately; checked at most every few seconds, with a short timeout."""
        if self._redis_url is None:
            return False
        if time.monotonic() >= self._check_again_at:
            from redis import Redis, RedisError  # noqa: PLC0415 - as in _celery

            with Redis.from_url(
                self._redis_url, socket_connect_timeout=PING_SECONDS, socket_timeout=PING_SECONDS
            ) as server:
                try:
                    server.ping()
                    self._is_away = False
                except RedisError:
                    self._is_away = True
            self._check_again_at = time.monotonic() + PAUSE_SECONDS
        return self._is_away

    def ring(self, queues: Iterable[str]) -> None:
        """Send one message to each queue; a Redis that does not respond is logged, not raised."""
        if self._celery is None or time.monotonic() < self._paused_until:
            return
        from kombu.exceptions import OperationalError  # noqa: PLC0415 - as in _celery

        for queue in sorted(set(queues)):
            try:
                self._celery.send_task(MESSAGE, queue=queue, **RING_OPTIONS)
            except OperationalError as error:
                self._paused_until = time.monotonic() + PAUSE_SECONDS
                log.warning(
                    "cannot wake up the workers of queue %s, they will find its runs within seconds: %s",
                    queue,
                    error,
                )
                return


def _celery(redis_url: str) -> Any:
    from celery import Celery  # noqa: PLC0415 - half a second to import, and a service without Redis never needs it

    app = Celery("cil-api", broker=redis_url, set_as_current=False)
    limits = {"socket_connect_timeout": TIMEOUT_SECONDS, "socket_timeout": TIMEOUT_SECONDS}
    transport = {**CELERY_CONFIG["broker_transport_options"], **limits}
    app.conf.update(
        CELERY_CONFIG, broker_connection_timeout=TIMEOUT_SECONDS, broker_transport_options=transport
    )
    return app
