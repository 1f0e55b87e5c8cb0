"""Each row of ARCHITECTURE's table about Celery and Redis has a test that fails without its design.

    make mutations
    python -m tests.mutations hoards pickle      only the rows with one of these words

In a copy of the last commit, it replaces one line of the design at a time and runs the test of its row: a
mutation that survives is an untested guarantee. It takes some minutes and is not part of the suite.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVICE, LISTENER = "tests/workers/parent/test_service.py::", "tests/workers/parent/test_listener.py::"


@dataclass(frozen=True)
class Mutation:
    """A line of the design, its replacement, and the test that must fail."""

    row: str
    file: str
    line: str
    without: str
    test: str


MUTATIONS = (
    Mutation(
        "a message is delivered again: the row is claimed",
        "store/runs/claims.py",
        "is_in(run.state, RunState.queued), run.queue ==",
        "is_in(run.state, RunState.queued, RunState.running), run.queue ==",
        "tests/store/runs/test_claims.py::test_nothing_is_claimed_twice",
    ),
    Mutation(
        "a child is killed: its run is queued again",
        "store/runs/failures.py",
        "if failure in RETRIED:",
        "if failure in set():",
        SERVICE + "test_the_run_of_a_killed_child_is_retried_with_an_identical_result",
    ),
    Mutation(
        "a crashing run is started without end: attempts are counted when claimed",
        "store/runs/claims.py",
        "charged=Run.charged + 1",
        "charged=Run.charged",
        "tests/store/runs/test_failures.py::test_a_run_whose_workers_die_without_a_word_is_dead_after_three_attempts",
    ),
    Mutation(
        "a whole worker is killed: the reaper takes its runs back",
        "store/runs/failures.py",
        "expired.limit(_BATCH)",
        "expired.limit(0)",
        SERVICE + "test_another_worker_finishes_the_run_of_a_killed_one",
    ),
    Mutation(
        "a revoked job runs all the same: cancellation is a column",
        "store/runs/cancellation.py",
        "_withdraw(session, job_id, [run for run in runs if not run.state.is_terminal])",
        "pass",
        SERVICE + "test_a_run_cancelled_without_a_worker_never_runs",
    ),
    Mutation(
        "a pool's children cannot use CUDA: the listener never loads PyTorch",
        "workers/parent/supervisor.py",
        "import logging\n",
        "import logging\nimport torch\n",
        LISTENER + "test_the_worker_never_loads_pytorch_and_renews_leases_during_a_run",
    ),
    Mutation(
        "a busy pool misses its heartbeats: the handler only puts a ring into a queue",
        "workers/parent/listener.py",
        "self._wakeups.put(None)",
        "threading.Event().wait(60)",
        LISTENER + "test_a_wake_up_arrives_and_stores_no_result",
    ),
    Mutation(
        "Redis orders priorities the other way round: the database orders",
        "store/runs/claims.py",
        "Run.priority.desc()",
        "Run.priority",
        "tests/store/runs/test_claims.py::test_priority_goes_first_and_age_second",
    ),
    Mutation(
        "one worker hoards messages: a message is no job",
        "workers/parent/supervisor.py",
        "len(self._running) < self._slots and not self._stopping",
        "not self._stopping",
        SERVICE + "test_a_worker_with_all_messages_leaves_runs_to_another",
    ),
    Mutation(
        "Redis loses its queue: the caretaker rings again",
        "workers/parent/caretaker.py",
        "for queue in reaped.unclaimed:",
        "for queue in ():",
        "tests/workers/parent/test_caretaker.py::test_it_wakes_workers_for_an_unclaimed_run",
    ),
    Mutation(
        "results pile up: there is no result backend",
        "workers/parent/listener.py",
        "self._app.task(name=MESSAGE, ignore_result=True, shared=False)",
        "self._app.conf.update(result_backend=redis_url, task_ignore_result=False); "
        "RING_OPTIONS.update(ignore_result=False); self._app.task(name=MESSAGE)",
        LISTENER + "test_a_wake_up_arrives_and_stores_no_result",
    ),
    Mutation(
        "a message overtakes its transaction: it is rung after the commit",
        "api/routes/jobs.py",
        "    accepted = await",
        '    ringer.ring({"cil"})\n    accepted = await',
        "tests/api/live/test_ringer.py::test_a_refused_submission_does_not_ring",
    ),
    Mutation(
        "a pickle executes code: JSON only",
        "store/celery_config.py",
        '"accept_content": ["json"]',
        '"accept_content": ["json", "pickle"]',
        LISTENER + "test_a_pickle_is_refused_and_later_wake_ups_arrive",
    ),
    Mutation(
        "a fenced-out writer writes: every write carries the attempt",
        "store/runs/transitions.py",
        "Run.attempt == holder.attempt",
        "Run.attempt >= 0",
        "tests/store/runs/test_model.py",
    ),
)


def survives(mutation: Mutation, copy: Path) -> bool:
    """Whether the named test passes without the design."""
    path = copy / mutation.file
    before = path.read_text()
    if before.count(mutation.line) < 1:
        raise ValueError(f"{mutation.file} no longer has {mutation.line!r}")
    path.write_text(before.replace(mutation.line, mutation.without, 1))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        mutation.test,
    ]
    done = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    path.write_text(before)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutation.test} could not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def main() -> int:
    """Exit code 1 if a mutation survives."""
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="cil-mutations-") as directory:
        copy = Path(directory) / "copy"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
        for mutation in MUTATIONS:
            if sys.argv[1:] and not any(word in mutation.row for word in sys.argv[1:]):
                continue
            alive = survives(mutation, copy)
            survivors += alive
            sys.stdout.write(f"{'SURVIVES' if alive else 'detected'}  {mutation.row}  ({mutation.test})\n")
            sys.stdout.flush()
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
