"""A worker's periodic duties: reaping, waking others, deleting checkpoints."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from store import runs
from store.access import idempotency
from store.database.clock import now
from store.database.models import IdempotencyKey, Run
from store.runs import WorkerOffer
from workers.parent.caretaker import Caretaker
from workers.parent.listener import Listener
from workers.parent.retention import checkpoint_folders, is_removable, sweep
from workers.parent.settings import KeepCheckpoints


@pytest.fixture
def caretaker(workshop):
    """On its rounds, for a worker that is called `keeper`."""
    listener = Listener(workshop.redis.url, "other")
    caretaker = Caretaker(
        WorkerOffer("keeper", "other", "cpu"), {"slots": 1}, workshop.database, listener, workshop.settings()
    )
    caretaker.start()
    yield caretaker
    caretaker.close()


def _change(workshop, run_id, **values):
    with workshop.database.transaction() as session:
        session.execute(update(Run).where(Run.id == run_id).values(**values))


def test_it_registers_the_worker_and_marks_it_stopped(workshop, caretaker, until):
    def listed():
        with workshop.database.reading() as session:
            return [worker for worker in runs.list_workers(session) if worker.offer.id == "keeper"]

    (worker,) = until(listed)
    assert worker.stopped_at is None
    assert worker.info == {"slots": 1}
    caretaker.close()
    assert listed()[0].stopped_at is not None


def test_it_requeues_a_run_with_an_expired_lease(workshop, caretaker, recipes):
    run_id = workshop.submit(recipes["quick"])
    workshop.claim("dead")
    _change(workshop, run_id, lease_until=now(timedelta(seconds=-1)))
    run = workshop.await_state(run_id, "queued")
    assert run.failure == "infrastructure"
    assert "dead" in run.message


def test_it_deletes_expired_idempotency_keys(workshop, until):
    with workshop.database.transaction() as session:
        for key in ("old", "young"):
            idempotency.reserve(session, "usr_ada", key, "a" * 64)
        session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.key == "old")
            .values(created_at=now(timedelta(hours=-25)))
        )

    def keys():
        with workshop.database.reading() as session:
            return session.scalars(select(IdempotencyKey.key)).all()

    keeper = Caretaker(
        WorkerOffer("keeper", "other", "cpu"),
        {},
        workshop.database,
        Listener(workshop.redis.url, "other"),
        workshop.settings(),
    )
    keeper.start()
    assert until(lambda: keys() == ["young"])
    keeper.close()


def test_it_wakes_workers_for_an_unclaimed_run(workshop, recipes, until):
    workshop.redis.start()
    listener = Listener(workshop.redis.url, "cil")
    listener.start()
    caretaker = Caretaker(
        WorkerOffer("keeper", "other", "cpu"),
        {},
        workshop.database,
        Listener(workshop.redis.url, "other"),
        workshop.settings(),
    )
    _change(workshop, workshop.submit(recipes["quick"]), not_before=now(timedelta(seconds=-60)))
    caretaker.start()
    assert until(lambda: listener.wait(0.1))
    caretaker.close()
    listener.close()


@pytest.fixture
def shelves(workshop, recipes):
    """Checkpoints of a queued, a failed and a cancelled run, and of one that is unknown here."""
    run_ids = [workshop.submit(recipes["quick"], seed=seed) for seed in (1, 2, 3)]
    claim = workshop.claim()
    with workshop.database.transaction() as session:
        runs.fail(session, claim, runs.FailureClass.diverged, "it diverged", {})
    workshop.cancel(next(run_id for run_id in run_ids if run_id != claim.run_id))
    for run_id in [*run_ids, "run_unknown"]:
        folder = workshop.settings().checkpoints / run_id / "attempt-1"
        folder.mkdir(parents=True)
        folder.joinpath("task-001.pt").write_bytes(b"x" * 100)
    return run_ids


def test_only_checkpoints_of_terminal_runs_are_removed(workshop, shelves):
    with workshop.database.reading() as session:
        removed = sweep(session, workshop.settings().checkpoints, KeepCheckpoints.NONE)
        left = checkpoint_folders(session, workshop.settings().checkpoints)
    assert {item.state for item in removed} == {"failed", "cancelled"}
    assert {item.state for item in left} == {"queued", None}
    assert all(item.size_bytes >= 100 for item in left)
    assert sorted(folder.name for folder in workshop.settings().checkpoints.iterdir()) == sorted(
        item.run_id for item in left
    )


@pytest.mark.parametrize(
    ("policy", "states"), [("none", {"failed", "cancelled"}), ("failed", set()), ("all", set())]
)
def test_the_policy_decides_which_checkpoints_are_removable(workshop, shelves, policy, states):
    with workshop.database.reading() as session:
        items = checkpoint_folders(session, workshop.settings().checkpoints)
    assert {item.state for item in items if is_removable(item, KeepCheckpoints(policy))} == states
