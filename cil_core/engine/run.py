"""A whole run, told on one page: `run(spec)` yields what happens while it happens.

Pure: arguments in, events out. No environment, no clock, no global random state, no printing, no path guessing. It sets one switch of its process: cuDNN repeats itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import torch

from cil_core import ENGINE_VERSION
from cil_core.data import load
from cil_core.data.order import RESIDENT_BYTES, TaskData, class_order, task_stream
from cil_core.engine.checkpoint import Checkpoints, Identity, restore
from cil_core.engine.evaluation import evaluate
from cil_core.engine.first_task import FirstTasks
from cil_core.engine.footprint import measure
from cil_core.engine.registry import create
from cil_core.engine.trainer import train
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Task
from cil_core.learning.seeding import Randomness
from cil_core.nets import pretrained
from cil_core.nets.compilation import batches_worth_compiling
from cil_core.spec.aligned_budgets import effective_budget
from cil_core.spec.catalog import DATASETS, DatasetCard
from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated, TaskStarted
from cil_core.spec.jobs import RunSpec
from cil_core.spec.metrics import matrix_digest
from cil_core.spec.validation import check


def run(
    spec: RunSpec,
    *,
    data_root: Path,
    device: str = "cpu",
    checkpoints: Checkpoints | None = None,
    resident_bytes: int = RESIDENT_BYTES,
    first_tasks: Path | None = None,
    compiled: bool = False,
) -> Iterator[Event]:
    """Execute a run.

    Args:
        spec: what to run.
        data_root: where datasets lie on this machine, or are downloaded to.
        device: `cpu` or `cuda:N`.
        checkpoints: where to save after every task and to look for earlier progress; None saves nothing.
        resident_bytes: a dataset of more bytes stays in its files, and batches are read from there; changes no result.
        first_tasks: where first tasks are shared with methods that begin alike; None shares nothing; changes no result.
        compiled: whether backbones are compiled if the run is long enough to gain from it; changes results as another device does, by rounding.

    Yields:
        RunStarted; for each task TaskStarted, EpochFinished …, TaskEvaluated; RunFinished. When it resumes, the results of the tasks that were
        already finished follow RunStarted at once.

    Raises:
        InvalidSpec: the spec cannot be run.
        DataError: the data on this machine cannot be used.
        Diverged: a loss became NaN or infinite.
        CheckpointError: a checkpoint could not be written.
    """
    torch.backends.cudnn.deterministic = True  # on a GPU only algorithms that give the same bits again
    source = load(spec.track, data_root)
    card, fingerprint = source.card, source.fingerprint
    check(spec.method, spec.track, {**DATASETS, card.name: card})
    tasks = task_stream(source, spec.track, device, resident_bytes)
    del source  # its images are the tasks' now
    order = class_order(spec.track.protocol, card.classes)
    sizes = spec.track.protocol.task_sizes(card.classes)
    bounds = tuple(accumulate(sizes, initial=0))
    weights = (
        pretrained.fetch(pretrained.published(spec.track.backbone), data_root)
        if spec.track.pretrained != "none"
        else None
    )
    batches = (
        batches_worth_compiling(spec.method, [len(task.train) for task in tasks])
        if compiled
        else frozenset[int]()
    )
    method = create(spec.method, context_of(spec, card, device, weights, batches))
    identity = Identity(spec.digest(), ENGINE_VERSION, fingerprint)
    finished, skipped = _resume(method, checkpoints, identity)
    yield RunStarted(
        engine_version=ENGINE_VERSION,
        spec_digest=identity.spec_digest,
        device=device,
        dataset_fingerprint=fingerprint,
        task_sizes=sizes,
        class_order=order,
        resumed_at=len(finished),
        skipped_checkpoints=skipped,
        compiled=bool(method.compiled_batches),
    )
    yield from finished
    shared = FirstTasks(first_tasks, fingerprint, order) if first_tasks else None
    for index in range(len(finished), len(tasks)):
        task = Task(index, bounds[: index + 2], tasks[index].train)
        yield from learn_task(method, task, shared)
        evaluated = _evaluated(method, task, tasks)
        method.finish_task()
        finished.append(evaluated)
        if checkpoints:
            checkpoints.save(identity, method.state_dict(), finished)
        yield evaluated
    yield RunFinished(
        matrix_digest=matrix_digest(
            [{name: row.model_dump() for name, row in done.results.items()} for done in finished]
        )
    )


def context_of(
    spec: RunSpec,
    dataset: DatasetCard,
    device: str,
    weights: Path | None = None,
    compiled_batches: frozenset[int] = frozenset(),
) -> RunContext:
    """What the method of `spec` is told about its run."""
    track, where = spec.track, torch.device(device)
    budget = effective_budget(spec.method, track, dataset)
    sizes = track.protocol.task_sizes(dataset.classes)
    return RunContext(
        dataset,
        track.backbone,
        budget,
        sizes,
        Randomness(spec.seed, where),
        where,
        track.precision,
        weights,
        compiled_batches,
    )


def _resume(
    method: Method, checkpoints: Checkpoints | None, identity: Identity
) -> tuple[list[TaskEvaluated], tuple[str, ...]]:
    if checkpoints is None:
        return [], ()
    checkpoint, skipped = checkpoints.latest(identity)
    if checkpoint is None:
        return [], skipped
    restore(method, checkpoint.state)
    return list(checkpoint.finished), skipped


def learn_task(method: Method, task: Task, shared: FirstTasks | None = None) -> Iterator[Event]:
    """One task from growth to memory; the trained network is then ready to be tested and retired. `shared` may save the training of the first."""
    yield TaskStarted(
        task=task.index,
        known=task.known,
        seen=task.seen,
        train_images=len(task.train),
        exemplars=len(method.memory),
    )
    method.diagnostics.clear()
    method.grow(task)
    for number, phase in enumerate(method.learn(task)):
        file = shared.file_for(method, phase) if shared and task.is_first and number == 0 else None
        if file and FirstTasks.load(file, phase):
            method.diagnostics["first_task_shared"] = 1.0
            continue
        for report in train(phase, task, method.context.randomness, number):
            yield EpochFinished(
                task=task.index,
                phase=phase.name,
                epoch=report.epoch,
                epochs=phase.schedule.epochs,
                lr=report.lr,
                losses=report.losses,
            )
        if file:
            FirstTasks.save(file, phase)
    method.consolidate(task)
    method.remember(task)


def _evaluated(method: Method, task: Task, tasks: Sequence[TaskData]) -> TaskEvaluated:
    tests = [data.test for data in tasks[: task.index + 1]]
    return TaskEvaluated(
        task=task.index,
        known=task.known,
        seen=task.seen,
        test_images=tuple(len(test) for test in tests),
        results=evaluate(method, tests),
        footprint=measure(method),
        diagnostics=dict(method.diagnostics),
    )
