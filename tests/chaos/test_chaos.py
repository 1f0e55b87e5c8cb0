"""The promises under fire: a seeded script hurts the real service at random while it works, and then everything is counted.

    make chaos MINUTES=5 SEED=1     the defaults of production, both databases, the figures printed

Without MINUTES less than a minute on each, with short leases: every fault several times.
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

from cil_core.engine.run import run
from cil_core.spec.events import TaskEvaluated
from cil_core.spec.jobs import RunSpec
from tests.chaos.audit import References, judge, unfinished
from tests.chaos.faults import TRACK, Faults, Record, Users
from tests.chaos.script import RECIPES, SEEDS, script
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
    """Every run that will be submitted, undisturbed."""
    torch.set_num_threads(1)
    answers: References = {}
    for recipe in RECIPES:
        for seed in SEEDS:
            spec = RunSpec.model_validate({"method": recipe, "track": TRACK, "seed": seed})
            rows = [
                event
                for event in run(spec, data_root=Path("/nonexistent"))
                if isinstance(event, TaskEvaluated)
            ]
            answers[spec.method.name, seed] = {
                (row.task, name): list(counts.correct) for row in rows for name, counts in row.results.items()
            }
    return answers


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Two workers, an API, a Redis and a database, all of them running."""
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


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_changed(
    stage: Stage, references: References, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record()
    users, faults = Users(stage, record), Faults(stage, record, ABSENCE)
    began = time.monotonic()
    for number, step in enumerate(script(SEED, list(faults.every))):
        if time.monotonic() - began > SECONDS and number % len(faults.every) == 0:
            break
        for act in step.acts:
            users.act(act)
            time.sleep(LONGEST_REST * act.rest)
        faults.inject(step)
    seconds = time.monotonic() - began
    faults.join()
    stage.start()
    try:
        until(lambda: not unfinished(stage), 120 + 20 * stage.lease, "every run ends")
    except AssertionError:
        pytest.fail(
            f"not ended: {unfinished(stage)}; running: {[service.name for service in stage.services if service.is_running]}"
        )
    stage.stop()
    settled = (
        time.monotonic() + 120
    )  # a fork server that was still importing notices afterwards that its worker is gone; on a busy machine that takes a while
    while stage.family() and time.monotonic() < settled:
        time.sleep(0.1)
    verdict = judge(stage, record, references, seconds)
    with capsys.disabled() if MINUTES else nullcontext():
        sys.stdout.write(f"\n{verdict}")
    assert (verdict.lost, verdict.duplicated, verdict.different, verdict.stale, verdict.orphans) == (
        [],
        [],
        [],
        [],
        [],
    )
    assert verdict.succeeded > 0
    assert set(verdict.faults) == set(faults.every), "a fault that never took effect proves nothing"
    assert not MINUTES or max(verdict.first_recoveries, default=0) <= 90
