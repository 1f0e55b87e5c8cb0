"""`Ringer`: tells the workers that there is work.

Decisions:
    * It is rung after the commit and answers nobody: the run waits in the database, and workers look there by themselves every few seconds.
      A ring that is lost costs those seconds and nothing else, so a failed one is logged and forgotten.
    * When Redis is away a ring takes about a second at the most; it is sent after the HTTP answer, so nobody waits even for that.
    * After a failure it stays silent for a few seconds: many submissions must not queue up behind a Redis that does not answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from store.celery_config import CELERY_CONFIG, MESSAGE, RING_OPTIONS

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
SILENCE_SECONDS = 5.0
PING_SECONDS = 0.25


class Ringer:
    """The doorbell at one Redis.

    Args:
        redis_url: where it hangs; None for a service without one.
    """

    def __init__(self, redis_url: str | None) -> None:
        self._celery = _celery(redis_url) if redis_url else None
        self._redis_url = redis_url
        self._silent_until = self._ask_again_at = 0.0
        self._away = False

    @property
    def is_away(self) -> bool:
        """Whether Redis did not answer lately; asked at most every few seconds, with little patience."""
        if self._redis_url is None:
            return False
        if time.monotonic() >= self._ask_again_at:
            from redis import Redis, RedisError  # noqa: PLC0415 - as in _celery

            with Redis.from_url(
                self._redis_url, socket_connect_timeout=PING_SECONDS, socket_timeout=PING_SECONDS
            ) as server:
                try:
                    server.ping()
                    self._away = False
                except RedisError:
                    self._away = True
            self._ask_again_at = time.monotonic() + SILENCE_SECONDS
        return self._away

    def ring(self, queues: Iterable[str]) -> None:
        """Send one message to each queue; never raises for a Redis that is away."""
        if self._celery is None or time.monotonic() < self._silent_until:
            return
        from kombu.exceptions import OperationalError  # noqa: PLC0415 - as in _celery

        for queue in sorted(set(queues)):
            try:
                self._celery.send_task(MESSAGE, queue=queue, **RING_OPTIONS)
            except OperationalError as error:
                self._silent_until = time.monotonic() + SILENCE_SECONDS
                log.warning(
                    "the doorbell of queue %s cannot be rung, workers will find its runs by themselves: %s",
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
