"""Many at once, with real threads and connections: nothing is lost, doubled, or waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from store import runs
from store.database.errors import AlreadyTerminal, LeaseLost
from store.database.models import Attempt, Event, Job, Run, Summary, TaskResult
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState
from store.runs.job_state import job_state_of

if TYPE_CHECKING:
    from tests.store.conftest import EventsOf, Scenario

PATIENCE = runs.RetryPolicy(back_off=timedelta(milliseconds=20))
LEASE = timedelta(milliseconds=400)
USERS = 3


def together(count: int, action: Callable[[int], object]) -> list[object]:
    """Do it `count` times at the same moment, each in its own thread."""
    barrier = threading.Barrier(count)

    def at_once(number: int) -> object:
        barrier.wait()
        return action(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(at_once, range(count)))


def test_a_run_is_claimed_by_one_of_many(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=tuple(range(5))))
    claims = together(
        12, lambda number: scenario.try_claim(runs.WorkerOffer(f"worker-{number}", "cil", "cpu"))
    )
    claimed = [claim.run_id for claim in claims if isinstance(claim, runs.Claim)]
    assert len(claimed) == len(set(claimed)) == 5


def test_concurrent_submissions_of_the_same_meet_in_one_run(scenario: Scenario) -> None:
    jobs = together(
        12, lambda number: scenario.submit(scenario.spec(seeds=(1, 2, 3) if number % 2 else (3, 2, 1)))
    )
    assert len(set(jobs)) == 12
    assert scenario.count(Run) == 3
    assert scenario.complete_all() == 3
    assert scenario.count(Job, Job.state == JobState.succeeded) == 12


def test_a_lost_run_is_reaped_once(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    scenario.expire(scenario.claim().run_id)
    reaped = together(8, lambda _: scenario.reap())
    assert sum(len(one.requeued) for one in reaped if isinstance(one, runs.Reaped)) == 1
    assert scenario.count(Event, Event.kind == "run_requeued") == 1


def test_runs_that_end_together_end_their_job(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec("finetune", seeds=tuple(range(6))))
    claims = [scenario.claim() for _ in range(6)]
    together(6, lambda number: scenario.fail(claims[number], FailureClass.diverged))
    assert scenario.job(job_id).state is JobState.failed
    events = scenario.events(job_id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.kind for event in events].count("job_finished") == 1


def test_cancelling_and_sharing_at_once_leaves_no_job_without_its_run(scenario: Scenario) -> None:
    for turn in range(6):
        spec = scenario.spec("finetune", seeds=(turn,))
        first = scenario.submit(spec)
        answers = together(
            4,
            lambda number, spec=spec, first=first: (
                scenario.cancel(first) if number == 0 else scenario.submit(spec)
            ),
        )  # type: ignore[misc]
        assert scenario.job(first).state is JobState.cancelled
        sharers = [scenario.job(str(job_id)) for job_id in answers[1:]]
        assert {job.state for job in sharers} == {JobState.queued}
        assert len({job.links[0].run_id for job in sharers}) == 1


class Town:
    """Workers that die, stall and drain, impatient users and reapers, all at once on one database."""

    def __init__(self, scenario: Scenario, events_of: type[EventsOf]) -> None:
        self.scenario, self.database, self.events_of = scenario, scenario.database, events_of
        self.deadline = time.monotonic() + 120
        self.gone = [threading.Event() for _ in range(USERS)]
        self.fenced_out = 0

    def is_busy(self) -> bool:
        assert time.monotonic() < self.deadline, f"something waits for ever: {self.what_waits()}"
        all_submitted = all(
            user.is_set() for user in self.gone
        )  # who left before would leave the rest without a worker or a reaper
        return not all_submitted or self.scenario.count(Job, Job.finished_at.is_(None)) > 0

    def what_waits(self) -> list[str]:
        with self.database.reading() as session:
            open_runs = [
                f"{run.id} {run.state}, attempt {run.attempt} of {run.worker_id}, charged {run.charged},"
                f" not before {run.not_before}, lease {run.lease_until}"
                for run in session.scalars(select(Run).where(Run.finished_at.is_(None)))
            ]
            return open_runs + [
                f"{job.id} {job.state} since {job.created_at}"
                for job in session.scalars(select(Job).where(Job.finished_at.is_(None)))
            ]

    def work(self, number: int) -> None:
        random, offer = Random(number), runs.WorkerOffer(f"worker-{number}", "cil", "cpu")
        self.scenario.try_claim(offer, LEASE)  # and dies: at least these attempts are lost
        while self.is_busy():
            claim = self.scenario.try_claim(offer, LEASE)
            if claim is not None:
                try:
                    self.attempt(claim, random)
                except LeaseLost:
                    self.fenced_out += 1

    def attempt(self, claim: runs.Claim, random: Random) -> None:
        self.scenario.start(claim, resumed_at=self.recorded_tasks(claim))
        for task in range(self.scenario.tasks):
            with self.database.transaction() as session:
                if runs.heartbeat(session, claim, LEASE).cancel_requested:
                    runs.fail(session, claim, FailureClass.cancelled, "stopped", {})
                    return
            if self.stumbles(claim, random.random()):
                return
            self.scenario.evaluate(claim, task)
        self.scenario.finish(claim)

    def recorded_tasks(self, claim: runs.Claim) -> int:
        with self.database.reading() as session:
            return session.scalars(
                select(func.count(TaskResult.task.distinct())).where(TaskResult.run_id == claim.run_id)
            ).one()

    def stumbles(self, claim: runs.Claim, chance: float) -> bool:
        if chance < 0.04:  # dies
            return True
        if chance < 0.08:
            time.sleep(1.5 * LEASE.total_seconds())  # stalls past its lease, then continues
        elif chance < 0.12:
            self.scenario.release(claim)
            return True
        elif chance < 0.15:
            with self.database.transaction() as session:
                runs.fail(
                    session, claim, FailureClass.infrastructure, "the device is gone", {}, policy=PATIENCE
                )
            return True
        return False

    def reap(self) -> None:
        while self.is_busy():
            with self.database.transaction() as session:
                runs.reap(session, policy=PATIENCE)
            time.sleep(0.05)

    def use(self, number: int) -> None:
        try:
            self.submit_and_cancel(number)
        finally:
            self.gone[number].set()

    def submit_and_cancel(self, number: int) -> None:
        random = Random(100 + number)
        for _ in range(8):
            seeds = tuple(sorted(random.sample(range(8), 3)))
            job_id = self.scenario.submit(
                self.scenario.spec(random.choice(["icarl", "finetune"]), seeds), force=random.random() < 0.2
            )
            if random.random() < 0.3:
                time.sleep(random.random() / 10)
                try:
                    self.scenario.cancel(job_id)
                except AlreadyTerminal:
                    assert self.scenario.job(job_id).finished_at is not None


@pytest.mark.timeout(300)
def test_whatever_happens_at_once_every_job_ends_with_one_result_a_task(
    scenario: Scenario, events_of: type[EventsOf]
) -> None:
    town = Town(scenario, events_of)
    scenario.submit()
    with ThreadPoolExecutor(8) as pool:
        people = [
            *[pool.submit(town.use, number) for number in range(USERS)],
            *[pool.submit(town.work, number) for number in range(4)],
            pool.submit(town.reap),
        ]
    failures = [failure for person in people if (failure := person.exception()) is not None]
    assert not failures, "\n".join(map(repr, failures))
    assert_all_is_well(scenario)
    assert scenario.count(Attempt, Attempt.outcome == AttemptOutcome.lost) > 0


def assert_all_is_well(scenario: Scenario) -> None:
    with scenario.database.reading() as session:
        for run in session.scalars(select(Run)):
            results = session.scalars(
                select(TaskResult.task).where(TaskResult.run_id == run.id, TaskResult.classifier == "linear")
            ).all()
            assert run.state.is_terminal
            assert run.state is not RunState.succeeded or sorted(results) == list(range(scenario.tasks))
            assert run.charged <= PATIENCE.max_attempts
        for job in session.scalars(select(Job)):
            links = scenario.job(job.id).links
            assert job.state is job_state_of(
                [RunState.cancelled if link.withdrawn else link.run.state for link in links]
            )
            events = session.scalars(
                select(Event).where(Event.job_id == job.id).order_by(Event.sequence)
            ).all()
            assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
            assert [event.kind for event in events if event.kind == "job_finished"] == [events[-1].kind]
        counted = (
            select(func.count())
            .where(Summary.counted)
            .group_by(Summary.entry_id, Summary.seed, Summary.classifier)
        )
        assert set(session.scalars(counted)) == {1}
        assert (
            session.scalars(select(func.count()).where(Attempt.outcome == AttemptOutcome.running)).one() == 0
        )


def test_readers_do_not_wait_for_a_writer(scenario: Scenario) -> None:
    job_id = scenario.submit()
    with scenario.database.transaction() as session:
        runs.cancel(session, job_id)
        started = time.monotonic()
        assert scenario.job(job_id).state is JobState.queued
        assert time.monotonic() - started < 5
