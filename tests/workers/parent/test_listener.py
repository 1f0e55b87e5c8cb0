"""The listener beside a real Redis: it hears rings, only rings, and leaves nothing behind."""

import pickle
from pathlib import Path

import kombu
import pytest
import redis as redis_client
from celery.backends.base import DisabledBackend

from store.celery_config import MESSAGE
from workers.parent.listener import Listener


@pytest.fixture
def listener(redis):
    """One that listens."""
    redis.start()
    listener = Listener(redis.url, "cil")
    listener.start()
    yield listener
    listener.close()


def test_a_wake_up_arrives_and_stores_no_result(listener, redis, until):
    assert isinstance(listener._app.backend, DisabledBackend)
    for _ in range(2):  # when the second is heard, the first is over and done with
        listener.ring("cil")
        assert listener.wait(30)
    with redis_client.from_url(redis.url) as connection:
        until(lambda: connection.llen("cil") == 0)
        assert not list(connection.scan_iter("celery-task-meta*"))


def test_a_pickle_is_refused_and_later_wake_ups_arrive(listener, redis, tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    headers = {"task": MESSAGE, "id": "1", "lang": "py", "argsrepr": "()", "kwargsrepr": "{}"}
    with kombu.Connection(redis.url) as connection, connection.SimpleQueue("cil") as queue:
        queue.producer.publish(
            pickle.dumps(Trap()),
            headers=headers,
            routing_key="cil",
            content_type="application/x-python-serialize",
            content_encoding="binary",
        )
    assert not listener.wait(1)
    listener.ring("cil")
    assert listener.wait(30)
    assert not (tmp_path / "sprung").exists()


def test_the_worker_never_loads_pytorch_and_renews_leases_during_a_run(workshop, recipes, until):
    workshop.redis.start()
    run_id = workshop.submit(recipes["endless"])
    worker = workshop.start_worker()
    workshop.await_state(run_id, "running")
    (runner,) = until(worker.runners)
    assert "libtorch" in Path(f"/proc/{runner.pid}/maps").read_text()
    assert "libtorch" not in Path(f"/proc/{worker.pid}/maps").read_text()
    first = workshop.run(run_id).lease_until
    until(lambda: workshop.run(run_id).lease_until > first)
    Listener(workshop.redis.url, "cil").ring("cil")  # while it is busy
    second = workshop.run(run_id).lease_until
    until(lambda: workshop.run(run_id).lease_until > second)
    assert len(worker.runners()) == 1
