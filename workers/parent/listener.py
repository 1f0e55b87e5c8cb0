"""`Listener`: the Celery side of a worker. A message only says that there may be work.

Decisions:
    * The consumer runs in its own thread, so that no fault of Redis or Celery can stop a run: without it the
      supervisor polls. A consumer that exits is restarted.
    * The handler only puts a wake-up into a queue that the supervisor empties. No delivery, one or two of the
      same message are equivalent.
    * Every other function of a Celery worker is off: remote control, gossip, events, results.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

import celery
import celery.worker
import celery.worker.state
from kombu.exceptions import OperationalError

from store.celery_config import CELERY_CONFIG, MESSAGE, RING_OPTIONS

log = logging.getLogger(__name__)

_RESTART_SECONDS = 5.0
_JOIN_SECONDS = 5.0


class Listener:
    """Listens on one queue.

    Args:
        redis_url: the broker.
        name: the queue of this worker.
    """

    def __init__(self, redis_url: str, name: str) -> None:
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._name = name
        self._app = celery.Celery("cil", broker=redis_url, set_as_current=False)
        self._app.conf.update(CELERY_CONFIG)
        self._app.conf.update(
            worker_prefetch_multiplier=1,
            worker_enable_remote_control=False,
            worker_send_task_events=False,
            worker_cancel_long_running_tasks_on_connection_loss=True,
            broker_connection_retry_on_startup=True,
            broker_connection_max_retries=None,
        )
        self._app.task(name=MESSAGE, ignore_result=True, shared=False)(self.wake)
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        """Start to listen; returns at once, with or without Redis.

        A process has at most one active listener.
        """
        celery.worker.state.should_stop = None  # an earlier listener may have set it
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for a wake-up and consume it; returns whether one arrived."""
        try:
            self._wakeups.get(timeout=seconds)
        except queue.Empty:
            return False
        while not self._wakeups.empty():
            self._wakeups.get_nowait()
        return True

    def wake(self) -> None:
        """Wake this worker up; safe in a signal handler."""
        self._wakeups.put(None)

    def ring(self, name: str) -> None:
        """Wake the workers of a queue up; without Redis they poll."""
        try:
            self._app.send_task(MESSAGE, queue=name, **RING_OPTIONS)
        except OperationalError as error:
            log.warning("cannot wake the workers of queue %s, which poll instead: %s", name, error)

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        celery.worker.state.should_stop = 0
        self._thread.join(_JOIN_SECONDS)

    def _listen(self) -> None:
        self._app.set_current()  # per thread: the consumer finds its handler through the current app
        while not self._closing.is_set():
            options: dict[str, Any] = {
                "pool": "solo",
                "concurrency": 1,
                "queues": self._name,
                "without_gossip": True,
                "without_mingle": True,
                "without_heartbeat": True,
            }
            try:
                celery.worker.WorkController(self._app, **options).start()
            except Exception:  # the worker polls without it
                log.exception("the listener failed")
            if not self._closing.wait(_RESTART_SECONDS):
                log.warning("the listener stopped and is restarted")
