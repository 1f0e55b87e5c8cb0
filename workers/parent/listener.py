"""`Listener`: the Celery side of a worker, which only ever learns that there may be work.

Decisions:
    * The consumer runs in a thread of its own, so that whatever happens to Redis or to Celery cannot stop a run: without it the
      supervisor polls. A consumer that ends is started again.
    * The handler puts a ring into a queue that the supervisor empties. Two deliveries of one message, or none, are the same as one.
    * Everything that would make the consumer more than a listener is switched off: remote control, gossip, events, results.
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
        name: the queue where rings for this worker arrive.
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
        self._thread = threading.Thread(target=self._listen, name="doorbell", daemon=True)

    def start(self) -> None:
        """Begin to listen; returns at once, whether Redis is there or not. One listens in a process at a time."""
        celery.worker.state.should_stop = None  # as an earlier one may have left it
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether it rang, waiting for it up to `seconds`; asking takes the ring away."""
        try:
            self._wakeups.get(timeout=seconds)
        except queue.Empty:
            return False
        while not self._wakeups.empty():
            self._wakeups.get_nowait()
        return True

    def wake(self) -> None:
        """Ring it from inside; safe in a signal handler."""
        self._wakeups.put(None)

    def ring(self, name: str) -> None:
        """Tell the other workers of a queue; without Redis they find out by polling."""
        try:
            self._app.send_task(MESSAGE, queue=name, **RING_OPTIONS)
        except OperationalError as error:
            log.warning("cannot ring for queue %s, its workers will poll: %s", name, error)

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        celery.worker.state.should_stop = 0
        self._thread.join(_JOIN_SECONDS)

    def _listen(self) -> None:
        self._app.set_current()  # in this thread: the consumer finds its handler through the current app
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
            except Exception:  # the doorbell is a convenience: whatever breaks it is logged, and the worker goes on by polling
                log.exception("the doorbell broke")
            if not self._closing.wait(_RESTART_SECONDS):
                log.warning("the doorbell stopped listening; starting it again")
