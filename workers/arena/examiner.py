"""The trusted side of a submitted method: `examine` yields the engine's events, as `engine.run` does.

It holds the dataset with all labels, hands out one task at a time, keeps the states, and marks the answers.
The submitted file never runs, and is never imported, in this process.

Decisions:
    * Test images are shuffled by a number that exists in this process only, because their order would tell
      their task. After the last task a part of them is answered again in other company: a method that looks
      at the other images while it answers differs, and the result shows by how much.
    * A checkpoint holds the bytes that the method left. A resumed run gives them to the next learner, as an
      undisturbed one does after every task, so that resuming is no special case.
    * A dataset that does not fit into memory is refused: an open file of all images would show future tasks.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from cil_core import ENGINE_VERSION
from cil_core.data import load
from cil_core.data.order import TaskData, class_order, task_stream
from cil_core.data.source import Source
from cil_core.engine.checkpoint import CheckpointStore, Identity
from cil_core.engine.machine import Machine
from cil_core.spec.aligned_budgets import effective_budget
from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import RuleBroken
from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated, TaskStarted
from cil_core.spec.jobs import RunSpec
from cil_core.spec.method_description import described
from cil_core.spec.metrics import matrix_digest
from cil_core.spec.validation import check
from workers.arena import memory_files
from workers.arena.fork_server import ForkServer
from workers.arena.marking import Answers, allowed_state_bytes, footprint, mark, read_answers
from workers.arena.messages import Answered, Described, Epoch, Learned, Order
from workers.arena.process import Candidate
from workers.arena.submission import Limits, Submission, refuse_what_cannot_be_handed_out

DIFFERENT_ANSWERS = "answers_changed_by_other_images"
"""Diagnostic of the last task: the share of repeated answers that differ. It is 0 for an honest method."""


def examine(
    spec: RunSpec,
    submission: Submission,
    machine: Machine,
    server: ForkServer,
    limits: Limits,
    checkpoints: CheckpointStore[bytes] | None = None,
) -> Iterator[Event]:
    """Execute a run of a submitted method.

    Args:
        spec: the run; its digest identifies the checkpoints.
        submission: the file and its recipe.
        machine: where to run it; nothing is compiled and no first task is shared.
        server: starts the candidates.
        limits: of the candidates.
        checkpoints: as for `engine.run`.

    Yields:
        As `engine.run`.

    Raises:
        InvalidSpec: the method cannot run on this track.
        MethodError: the file raised an exception or crashed.
        RuleBroken: the method broke a rule.
        CannotConfine: the machine lacks the sandbox.
        EngineError: as `engine.run`.
    """
    source = load(spec.track, machine.data_root)
    check(submission.recipe, spec.track, {**DATASETS, source.card.name: source.card})
    refuse_what_cannot_be_handed_out(spec, source, machine)
    examination = _Examination(spec, submission, machine, server, limits, source)
    del source  # the tasks own its images now
    with closing(examination):
        examination.compare_description()
        yield from examination.run(checkpoints)


@dataclass
class _Examination:
    """One attempt at one run; `state` is what the method left after the last finished task."""

    spec: RunSpec
    submission: Submission
    machine: Machine
    server: ForkServer
    limits: Limits
    source: Source
    state: int | None = None
    finished: list[TaskEvaluated] = field(default_factory=list)

    def __post_init__(self) -> None:
        track, self.dataset, fingerprint = self.spec.track, self.source.card, self.source.fingerprint
        self.identity = Identity(self.spec.digest(), ENGINE_VERSION, fingerprint)
        self.tasks: Sequence[TaskData] = task_stream(self.source, track, "cpu")
        del self.source
        self.sizes = track.protocol.task_sizes(self.dataset.classes)
        self.bounds = tuple(accumulate(self.sizes, initial=0))
        self.budget = effective_budget(self.submission.recipe, track, self.dataset)
        self.random = np.random.Generator(np.random.PCG64(secrets.randbits(128)))
        self.state_bytes = allowed_state_bytes(
            self.submission.recipe, track, self.dataset, self.limits.state_bytes
        )

    def close(self) -> None:
        """Free the state."""
        self._keep(None)

    def run(self, checkpoints: CheckpointStore[bytes] | None) -> Iterator[Event]:
        """Every event of the run."""
        skipped = self._resume(checkpoints)
        yield RunStarted(
            engine_version=self.identity.engine_version,
            spec_digest=self.identity.spec_digest,
            device=self.machine.device,
            dataset_fingerprint=self.identity.dataset_fingerprint,
            task_sizes=self.sizes,
            class_order=class_order(
                self.spec.track.protocol, self.dataset.classes, is_fixed=self.dataset.fixed_order
            ),
            resumed_at=len(self.finished),
            skipped_checkpoints=skipped,
        )
        yield from tuple(self.finished)
        for index in range(len(self.finished), len(self.tasks)):
            learned = yield from self._learn(index)
            evaluated = self._examine(index, learned)
            self.finished.append(evaluated)
            if checkpoints:
                assert self.state is not None  # noqa: S101 - the learner left it
                with memory_files.mapped(self.state) as content:
                    checkpoints.save(self.identity, content[:], self.finished)
            yield evaluated
        counts = [{name: row.model_dump() for name, row in done.results.items()} for done in self.finished]
        yield RunFinished(matrix_digest=matrix_digest(counts))

    def compare_description(self) -> None:
        """Refuse a file that, when it runs, defines another recipe than the one that was read from it.

        Raises:
            RuleBroken: names the first part that differs.
        """
        with closing(self._candidate("describe", 0, {}, self.limits.answer_seconds)) as candidate:
            list(candidate.messages())
            message, result = candidate.result(Described)
            os.close(result)
        read = described(type(self.submission.recipe))
        for part in sorted({*read, *message.recipe}):
            if read.get(part) != message.recipe.get(part):
                raise RuleBroken(
                    f"the running file defines another {part} of its recipe than its text declares"
                )

    def _resume(self, checkpoints: CheckpointStore[bytes] | None) -> tuple[str, ...]:
        if checkpoints is None:
            return ()
        checkpoint, skipped = checkpoints.latest(self.identity)
        if checkpoint is not None:
            self.finished = [*checkpoint.finished]
            self._keep(memory_files.sealed("state", [checkpoint.state]))
        return skipped

    def _learn(self, index: int) -> Generator[Event, None, Learned]:
        """Train one task in a new process and keep the state that it leaves."""
        train = self.tasks[index].train
        exemplars = self.finished[-1].footprint.exemplars if self.finished else 0
        known, seen = self.bounds[index], self.bounds[index + 1]
        yield TaskStarted(task=index, known=known, seen=seen, train_images=len(train), exemplars=exemplars)
        data = memory_files.sealed("training", [train.images.numpy(), train.labels.numpy()])
        try:
            inputs = {"data": data} | ({} if self.state is None else {"state": self.state})
            candidate = self._candidate("learn", index, inputs, self.limits.learn_seconds, len(train))
        finally:
            os.close(data)
        with closing(candidate):
            for message in candidate.messages():
                if isinstance(message, Epoch):
                    yield _checked_epoch(message.event, index)
            learned, state = candidate.result(Learned)
        self._keep(state)
        return learned

    def _examine(self, index: int, learned: Learned) -> TaskEvaluated:
        """Count what the method keeps, let it answer, and mark the answers."""
        assert self.state is not None  # noqa: S101 - the learner left it
        size = memory_files.size(self.state)
        if size > self.state_bytes:
            raise RuleBroken(f"it keeps {size} bytes; {self.state_bytes} are allowed on this track")
        seen, recipe = self.bounds[index + 1], self.submission.recipe
        kept = footprint(self.state, learned, recipe, self.budget, seen, self.dataset)
        tests = [data.test for data in self.tasks[: index + 1]]
        images = np.concatenate([test.images.numpy() for test in tests])
        answers = self._answers(index, images, self.random.permutation(len(images)))
        diagnostics = {**learned.diagnostics}
        if index == len(self.tasks) - 1 and self.limits.repeated:
            diagnostics[DIFFERENT_ANSWERS] = self._repeat(index, images, answers)
        return TaskEvaluated(
            task=index,
            known=self.bounds[index],
            seen=seen,
            test_images=tuple(len(test) for test in tests),
            results={name: mark(given, tests) for name, given in answers.items()},
            footprint=kept,
            diagnostics=diagnostics,
        )

    def _answers(self, index: int, images: NDArray[np.uint8], order: NDArray[np.int64]) -> dict[str, Answers]:
        """The method's answers, in the order of `images`; those that `order` leaves out are zero."""
        assert self.state is not None  # noqa: S101 - the learner left it
        data = memory_files.sealed("test images", [images[order]])
        try:
            inputs = {"data": data, "state": self.state}
            candidate = self._candidate("answer", index, inputs, self.limits.answer_seconds, len(order))
        finally:
            os.close(data)
        with closing(candidate):
            list(candidate.messages())
            answered, result = candidate.result(Answered)
        expected = self.submission.recipe.classifiers
        try:
            if answered.classifiers != expected:
                names, declared = ", ".join(answered.classifiers), ", ".join(expected)
                raise RuleBroken(f"it answers with {names}; its recipe names {declared}")
            given = read_answers(result, expected, len(order), self.bounds[index + 1])
        finally:
            os.close(result)
        found = {}
        for name, rows in given.items():
            found[name] = np.zeros((len(images), rows.shape[1]), np.int32)
            found[name][order] = rows
        return found

    def _repeat(self, index: int, images: NDArray[np.uint8], first: dict[str, Answers]) -> float:
        """The share of answers that differ when some of the images are answered again."""
        count = max(1, round(self.limits.repeated * len(images)))
        chosen = self.random.choice(len(images), count, replace=False)
        again = self._answers(index, images, chosen)
        return float(np.mean([np.mean(first[name][chosen, 0] != again[name][chosen, 0]) for name in first]))

    def _candidate(
        self, action: str, index: int, inputs: dict[str, int], seconds: float, images: int = 0
    ) -> Candidate:
        order = Order.model_validate(
            {
                "action": action,
                "source": self.submission.source,
                "recipe": self.submission.recipe.values(),
                "dataset": self.dataset,
                "backbone": self.spec.track.backbone,
                "budget": self.budget,
                "task_sizes": self.sizes,
                "seed": self.spec.seed,
                "device": self.machine.device,
                "precision": self.spec.track.precision,
                "threads": self.server.threads,
                "task": index,
                "bounds": self.bounds[: index + 2],
                "images": images,
                "sandbox": self.limits.sandbox,
                "memory_bytes": self.limits.memory_bytes,
                "state_bytes": self.limits.state_bytes,
            }
        )
        return Candidate(self.server, order, inputs, seconds)

    def _keep(self, state: int | None) -> None:
        if self.state is not None:
            os.close(self.state)
        self.state = state


def _checked_epoch(event: EpochFinished, index: int) -> EpochFinished:
    """The event, if it may be shown: of this task, with short names and few losses."""
    names = [event.phase, *event.losses]
    if event.task != index or len(names) > 30 or not all(0 < len(name) <= 60 for name in names):
        raise RuleBroken(
            f"it reported an epoch of task {event.task} in task {index}, or names that are too long"
        )
    if not all(name.isprintable() for name in names):
        raise RuleBroken("it reported an epoch with names that are not printable")
    return event
