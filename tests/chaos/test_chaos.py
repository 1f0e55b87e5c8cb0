"""The guarantees under faults: a seeded script injects faults into the real service, and an audit counts the
consequences.

    make chaos MINUTES=5 SEED=1     the defaults of production, both databases, the figures printed

Without MINUTES: less than a minute per database, with short leases, every fault several times.
With every seed and length, every fault takes effect at least once; the test prints how long that takes.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import pytest
import torch

from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.events import TaskEvaluated
from cil_core.spec.jobs import RunSpec
from tests.chaos.audit import References, judge, unfinished
from tests.chaos.faults import TRACK, Faults, Record, Users
from tests.chaos.script import EXTRA_ROUNDS, RECIPES, SEEDS, played, script
from tests.chaos.stage import QUICK, PostgreSQL, Stage, until

MINUTES = os.environ.get("CHAOS_MINUTES")
SEED = int(os.environ.get("CHAOS_SEED", "1"))
SECONDS = 60 * float(MINUTES) if MINUTES else 45.0
INTERVALS = {} if MINUTES else QUICK
ABSENCE = 20.0 if MINUTES else 3.0
LONGEST_REST = 2.0 if MINUTES else 0.4

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos"), pytest.mark.timeout(2 * SECONDS + 900)]


@pytest.fixture(scope="module")
def references() -> References:
    """The results of every run of the script, without faults."""
    torch.set_num_threads(1)
    answers: References = {}
    for recipe in RECIPES:
        for seed in SEEDS:
            spec = RunSpec.model_validate({"method": recipe, "track": TRACK, "seed": seed})
            rows = [
                event
                for event in run(spec, Machine(data_root=Path("/nonexistent")))
                if isinstance(event, TaskEvaluated)
            ]
            answers[spec.method.name, seed] = {
                (row.task, name): list(counts.correct) for row in rows for name, counts in row.results.items()
            }
    return answers


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Two workers, an API, a Redis server and a database, all running."""
    stage = Stage(
        tmp_path, PostgreSQL() if request.param == "postgresql" else None, workers=2, intervals=INTERVALS
    )
    stage.start()
    yield stage
    stage.stop()
    sys.stdout.write(stage.story())
    stage.close()


def test_a_seed_gives_one_script() -> None:
    names = ["storm", "flood", "fire"]
    first, again, other = (list(islice(script(seed, names), 60)) for seed in (4, 4, 5))
    assert first == again != other
    assert Counter(step.fault for step in first) == dict.fromkeys(names, 20)
    assert {len(step.acts) for step in first} == {1, 2, 3, 4}
    assert 0 < sum(act.cancels for step in first for act in step.acts) < 60


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_every_fault_is_played_however_short_the_time(seed: int, rounds: int) -> None:
    names = ["storm", "flood", "fire", "frost"]
    tries: Counter[str] = Counter()

    def took_effect() -> set[str]:
        return {name for name in names if tries[name] > (3 if name == "fire" else 0)}

    for step in played(
        script(seed, names), names, took_effect, lambda: sum(tries.values()) >= rounds * len(names)
    ):
        tries[step.fault] += 1
    assert took_effect() == set(names)
    assert tries["fire"] == 4
    assert {tries[name] for name in names if name != "fire"} == {max(rounds, 1)}


def test_a_fault_that_never_takes_effect_ends_the_script() -> None:
    names = ["storm", "flood"]
    steps = list(played(script(1, names), names, lambda: {"storm"}, lambda: True))
    assert Counter(step.fault for step in steps) == {"storm": 1, "flood": 1 + EXTRA_ROUNDS}


def estimate(faults: Faults) -> str:
    """How long it takes to play every fault once."""
    first_round = list(islice(script(SEED, list(faults.every)), len(faults.every)))
    rests = LONGEST_REST * sum(act.rest for step in first_round for act in step.acts)
    most = rests + faults.longest_wait * len(faults.every) + faults.child_wait
    return f"{len(first_round)} faults, each once: {rests:.0f} to {most:.0f} s"


def play(users: Users, faults: Faults) -> float:
    """Play the script; returns the seconds after which every fault had taken effect, or 0."""
    began, complete_after = time.monotonic(), 0.0
    effects = faults.record.faults
    steps = script(SEED, list(faults.every))
    for step in played(steps, faults.every, lambda: effects, lambda: time.monotonic() - began > SECONDS):
        for act in step.acts:
            users.act(act)
            time.sleep(LONGEST_REST * act.rest)
        faults.inject(step)
        if not complete_after and set(effects) == set(faults.every):
            complete_after = time.monotonic() - began
    return complete_after


def settle(stage: Stage) -> None:
    """Let every run end, then stop the stage and wait for the exit of its processes."""
    stage.start()
    try:
        until(lambda: not unfinished(stage), 120 + 20 * stage.lease, "every run ends")
    except AssertionError:
        running = [service.name for service in stage.services if service.is_running]
        pytest.fail(f"not ended: {unfinished(stage)}; running: {running}")
    stage.stop()
    # A fork server notices the exit of its worker after its imports, which take a while on a busy machine.
    settled = time.monotonic() + 120
    while stage.family() and time.monotonic() < settled:
        time.sleep(0.1)


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_changed(
    stage: Stage, references: References, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record()
    faults = Faults(stage, record, ABSENCE)
    with capsys.disabled() if MINUTES else nullcontext():
        sys.stdout.write(f"\n{estimate(faults)}\n")
    began = time.monotonic()
    complete_after = play(Users(stage, record), faults)
    seconds = time.monotonic() - began
    faults.join()
    settle(stage)
    verdict = judge(stage, record, references, seconds)
    with capsys.disabled() if MINUTES else nullcontext():
        sys.stdout.write(f"\n{verdict}Every fault had taken effect after {complete_after:.0f} s.\n")
    assert (verdict.lost, verdict.duplicated, verdict.different, verdict.stale, verdict.orphans) == (
        [],
        [],
        [],
        [],
        [],
    )
    assert verdict.succeeded > 0
    assert set(verdict.faults) == set(faults.every), "a fault that takes no effect proves nothing"
    assert not MINUTES or max(verdict.first_recoveries, default=0) <= 90
