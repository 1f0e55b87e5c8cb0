"""A whole run on one page: `run(spec, machine)` yields events as they happen.

Pure: arguments in, events out. The engine reads no environment variable, clock or global random state. It
prints nothing and guesses no path. It sets one switch of its process: it forces deterministic cuDNN
algorithms.

Reproducibility:
    * The same spec yields bit-equal events on the same device, CPU instruction set and number of threads,
      with the same versions of PyTorch and its libraries. Every operation then has the same shapes and runs
      the same code.
    * Across shapes, batch sizes, thread counts, devices or instruction sets, libraries sum in another order.
      Values then agree within a tolerance only, and no code or test relies on more.
    * Copies are exact everywhere: growing a head, restoring a checkpoint or moving a tensor keeps every
      stored number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import torch

from cil_core import ENGINE_VERSION
from cil_core.data import load
from cil_core.data.order import TaskData, class_order, task_stream
from cil_core.engine.checkpoint import Checkpoints, Identity, restore
from cil_core.engine.evaluation import evaluate
from cil_core.engine.first_task import FirstTasks, digest
from cil_core.engine.footprint import measure
from cil_core.engine.frozen_features import frozen_features
from cil_core.engine.independence import check_independence, check_state
from cil_core.engine.machine import Machine
from cil_core.engine.registry import create
from cil_core.engine.trainer import train
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Task
from cil_core.learning.seeding import Randomness
from cil_core.nets.compilation import batches_worth_compiling
from cil_core.spec.aligned_budgets import effective_budget
from cil_core.spec.catalog import DATASETS, WEIGHTS, DatasetCard
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated, TaskStarted
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.metrics import matrix_digest
from cil_core.spec.submitted_method import is_submitted
from cil_core.spec.validation import check
from cil_core.spec.weights import WeightsCard, operator_cards
from cil_core.spec.weights_files import WeightsFile, fetch, verified


def run(spec: RunSpec, machine: Machine, checkpoints: Checkpoints | None = None) -> Iterator[Event]:
    """Execute a run.

    Args:
        spec: what to run.
        machine: where to run it.
        checkpoints: where to save after every task and to look for earlier progress; None saves nothing.

    Yields:
        RunStarted; per task TaskStarted, EpochFinished …, TaskEvaluated; RunFinished. A resumed run
        repeats the results of finished tasks right after RunStarted.

    Raises:
        InvalidSpec: the spec cannot be run.
        DataError: the data on this machine cannot be used.
        Diverged: a loss became NaN or infinite.
        CheckpointError: a checkpoint could not be written.
    """
    if is_submitted(spec.method):
        raise InvalidSpec("a submitted method runs in the arena, with its file", ("method", "source"))
    torch.backends.cudnn.deterministic = True
    source = load(spec.track, machine.data_root)
    fingerprint = source.fingerprint
    cards = {**WEIGHTS, **operator_cards(machine.data_root, WEIGHTS)}
    check(spec.method, spec.track, {**DATASETS, source.card.name: source.card}, weights=cards)
    weights = _weights(spec.track, cards, machine)
    if weights:
        source = dataclasses.replace(source, card=weights.card.prepared(source.card))
    card = source.card
    is_frozen = runs_on_features(spec, weights)
    tasks = () if is_frozen else task_stream(source, spec.track, machine.device, machine.resident_bytes)
    method = _create_method(spec, machine, card, tasks, weights)
    identity = Identity(spec.digest(), ENGINE_VERSION, fingerprint)
    finished, skipped = _resume(method, checkpoints, identity)
    order = class_order(spec.track.protocol, card.classes, is_fixed=card.fixed_order)
    yield _started(method, machine.device, identity, order, len(finished), skipped)
    yield from finished
    features = None
    if weights and is_frozen:
        features = yield from frozen_features(source, weights, spec.track.precision, machine)
        tasks = task_stream(source, spec.track, machine.device, features=(features.train, features.test))
    del source  # the tasks own its images now
    shared = FirstTasks(machine.first_tasks, fingerprint, order) if machine.first_tasks else None
    for event in _remaining_tasks(method, tasks, len(finished), shared):
        if isinstance(event, TaskEvaluated):
            finished.append(event)
            if checkpoints:
                checkpoints.save(identity, method.state_dict(), finished)
        yield event
    counts = [{name: row.model_dump() for name, row in done.results.items()} for done in finished]
    yield RunFinished(
        matrix_digest=matrix_digest(counts), features_sha256=features.sha256 if features else None
    )


def _started(
    method: Method,
    device: str,
    identity: Identity,
    order: tuple[int, ...],
    resumed_at: int,
    skipped: tuple[str, ...],
) -> RunStarted:
    return RunStarted(
        engine_version=identity.engine_version,
        spec_digest=identity.spec_digest,
        device=device,
        dataset_fingerprint=identity.dataset_fingerprint,
        task_sizes=method.context.task_sizes,
        class_order=order,
        resumed_at=resumed_at,
        skipped_checkpoints=skipped,
        weights_sha256=method.context.weights.sha256 if method.context.weights else None,
        compiled=bool(method.compiled_batches),
    )


def _remaining_tasks(
    method: Method, tasks: Sequence[TaskData], finished: int, shared: FirstTasks | None
) -> Iterator[Event]:
    """Learn and evaluate every task after the first `finished` ones."""
    bounds = tuple(accumulate(method.context.task_sizes, initial=0))
    for index in range(finished, len(tasks)):
        task = Task(index, bounds[: index + 2], tasks[index].train)
        yield from learn_task(method, task, shared)
        evaluated = _evaluated(method, task, tasks)
        method.finish_task()
        yield evaluated


def _weights(track: Track, cards: Mapping[str, WeightsCard], machine: Machine) -> WeightsFile | None:
    """The file of a track's weights, downloaded if it is missing and checked; None without weights."""
    if track.weights_key is None:
        return None
    card = cards[track.weights_key]
    for _ in fetch(card, machine.data_root):
        pass
    return verified(card, machine.data_root)


def runs_on_features(spec: RunSpec, weights: WeightsFile | None) -> bool:
    """Whether a run sees features that were made once for all runs, instead of images."""
    return weights is not None and weights.card.library == "timm" and spec.method.needs == "frozen features"


def _create_method(
    spec: RunSpec,
    machine: Machine,
    card: DatasetCard,
    tasks: Sequence[TaskData],
    weights: WeightsFile | None,
) -> Method:
    """The method of `spec`, with the weights and compiled batch sizes that this run starts with."""
    batches: frozenset[int] = frozenset()
    if machine.compile and (weights is None or weights.card.library != "timm"):
        batches = batches_worth_compiling(spec.method, [len(task.train) for task in tasks])
    context = context_of(spec, card, machine.device, weights, batches)
    return create(
        spec.method, dataclasses.replace(context, transform=tasks[0].train.transform if tasks else None)
    )


def context_of(
    spec: RunSpec,
    dataset: DatasetCard,
    device: str,
    weights: WeightsFile | None = None,
    compiled_batches: frozenset[int] = frozenset(),
) -> RunContext:
    """The context that the method of `spec` receives.

    Args:
        spec: the run.
        dataset: card of the track's dataset.
        device: `cpu` or `cuda:N`.
        weights: see `RunContext`.
        compiled_batches: see `RunContext`.
    """
    track, where = spec.track, torch.device(device)
    return RunContext(
        dataset=dataset,
        backbone=track.backbone,
        budget=effective_budget(spec.method, track, dataset),
        task_sizes=track.protocol.task_sizes(dataset.classes),
        randomness=Randomness(spec.seed, where),
        device=where,
        precision=track.precision,
        weights=weights,
        frozen_features=runs_on_features(spec, weights),
        compiled_batches=compiled_batches,
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
    """Learn one task, from growth to memory; evaluation and `Method.finish_task` follow.

    Args:
        method: in the state that the previous task left.
        task: the task to learn.
        shared: where the first task may be loaded from instead of being trained.

    Yields:
        TaskStarted, then EpochFinished after every epoch of every phase.
    """
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
    is_last = len(tests) == len(tasks)
    before = digest(method.state_dict()) if is_last else ""
    results = evaluate(method, tests)
    if is_last:
        check_independence(method, tests)
        check_state(before, digest(method.state_dict()))
    return TaskEvaluated(
        task=task.index,
        known=task.known,
        seen=task.seen,
        test_images=tuple(len(test) for test in tests),
        results=results,
        footprint=measure(method),
        diagnostics=dict(method.diagnostics),
    )
