"""What must hold for every registered method. A new method is tested by being registered."""

from __future__ import annotations

import atexit
import copy
import math
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cil_core.data import load
from cil_core.data.order import task_stream
from cil_core.engine.checkpoint import Checkpoints
from cil_core.engine.machine import Machine
from cil_core.engine.registry import create
from cil_core.engine.run import context_of, learn_task, run
from cil_core.learning.method import Method
from cil_core.learning.phase import Task
from cil_core.spec.catalog import WEIGHTS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.recipes.base import Recipe
from cil_core.spec.validation import check
from cil_core.spec.weights_files import verified

ROOT = Path(tempfile.mkdtemp(prefix="cil-data-"))  # digits come with scikit-learn, weights with the package
atexit.register(shutil.rmtree, ROOT, ignore_errors=True)
CPU = Machine(data_root=ROOT)

every_method = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in sorted(BY_NAME)]
)
"""All tests of a method run in one process, so that they share its undisturbed run."""


def short_recipe(name: str, epochs: int = 3) -> Recipe:
    """The method's `small` preset with every schedule cut to a few epochs, one on a slow transformer."""
    recipe = BY_NAME[name].from_preset("small")
    epochs = 1 if needs_weights(name) else epochs
    cut = {
        field: schedule.rescaled(min(epochs, schedule.epochs)) for field, schedule in recipe.schedules.items()
    }
    return BY_NAME[name].model_validate(
        {**recipe.model_dump(), **{field: schedule.model_dump() for field, schedule in cut.items()}}
    )


def short_spec(name: str, track: str, epochs: int = 3, seed: int = 7) -> RunSpec:
    return RunSpec(method=short_recipe(name, epochs), track=track_of(name, track), seed=seed)


def needs_weights(name: str) -> bool:
    return BY_NAME[name].pretrained == "required"


def track_of(name: str, slug: str) -> Track:
    """The track; methods that need a pre-trained transformer have one in place of the backbone."""
    if needs_weights(name):
        slug = re.sub("-(convnet|resnet32)", "-vit_8px", slug) + "-letters"
    return Track.from_slug(slug)


@cache
def undisturbed(name: str) -> tuple[Event, ...]:
    """One run over three tasks of 4, 3 and 3 digits, shared by the tests that only look at its events."""
    return tuple(run(short_spec(name, "digits-b4-inc3-m60-convnet-holdout50"), CPU))


def evaluations(events: tuple[Event, ...]) -> list[TaskEvaluated]:
    return [event for event in events if isinstance(event, TaskEvaluated)]


def tasks_of(name: str, slug: str) -> Iterator[tuple[Method, Task]]:
    """A method and its tasks, one after another; the caller trains."""
    spec = short_spec(name, slug, epochs=1)
    source = load(spec.track, ROOT)
    key = spec.track.weights_key
    weights = verified(WEIGHTS[key], ROOT) if key else None
    sizes = spec.track.protocol.task_sizes(source.card.classes)
    bounds = tuple(accumulate(sizes, initial=0))
    method = create(spec.method, context_of(spec, source.card, "cpu", weights))
    for index, data in enumerate(task_stream(source, spec.track)):
        yield method, Task(index, bounds[: index + 2], data.train)


def refusal(spec: RunSpec) -> str:
    """Why submission refuses a spec; empty if it accepts it."""
    try:
        check(spec.method, spec.track)
    except InvalidSpec as error:
        return str(error)
    return ""


def state(method: Method) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@every_method
def test_the_same_seed_gives_the_same_matrix(name: str) -> None:
    again = tuple(run(short_spec(name, "digits-b4-inc3-m60-convnet-holdout50"), CPU))
    assert again == undisturbed(name)


@every_method
def test_another_seed_gives_other_losses_or_predictions(name: str) -> None:
    other = tuple(run(short_spec(name, "digits-b4-inc3-m60-convnet-holdout50", seed=8), CPU))
    assert other[1:] != undisturbed(name)[1:]


@every_method
@pytest.mark.parametrize("finished", [1, 2])
def test_a_run_resumed_after_any_task_ends_bit_identically(name: str, finished: int, tmp_path: Path) -> None:
    spec = short_spec(name, "digits-b4-inc3-m60-convnet-holdout50")
    for event in run(spec, CPU, Checkpoints(tmp_path / "attempt-1")):
        if isinstance(event, TaskEvaluated) and event.task == finished - 1:
            break
    resumed = tuple(run(spec, CPU, Checkpoints(tmp_path / "attempt-2", [tmp_path / "attempt-1"])))
    started = resumed[0]
    assert isinstance(started, RunStarted)
    assert started.resumed_at == finished
    assert evaluations(resumed) == evaluations(undisturbed(name))
    assert resumed[-1] == undisturbed(name)[-1]
    assert isinstance(resumed[-1], RunFinished)


@every_method
def test_it_beats_chance_on_digits(name: str) -> None:
    assert last_accuracy(undisturbed(name), name) > 1.5 / 10


@every_method
def test_classes_of_one_image_are_refused_at_submission_or_learnt(name: str) -> None:
    spec = short_spec(name, "digits-b4-inc3-m60-convnet-lt1000", epochs=1)
    refused = refusal(spec)
    if refused:
        assert "training images per class" in refused
        return
    events = tuple(run(spec, CPU))
    losses = [loss for event in events if isinstance(event, EpochFinished) for loss in event.losses.values()]
    assert all(map(math.isfinite, losses))
    assert isinstance(events[-1], RunFinished)


@cache
def finetuned_accuracy() -> float:
    """Of fine-tuning on the pre-trained track, with the epochs of the methods that need one."""
    track = Track.from_slug("digits-b4-inc3-m60-vit_8px-holdout50-letters")
    events = tuple(run(RunSpec(method=short_recipe("finetune", 1), track=track, seed=7), CPU))
    return last_accuracy(events, "finetune")


def last_accuracy(events: tuple[Event, ...], name: str) -> float:
    last = evaluations(events)[-1]
    return sum(last.results[BY_NAME[name].classifiers[0]].correct) / sum(last.test_images)


@pytest.mark.parametrize("name", [name for name in sorted(BY_NAME) if needs_weights(name)])
def test_it_beats_finetuning_from_the_same_weights(name: str) -> None:
    assert last_accuracy(undisturbed(name), name) > finetuned_accuracy() + 0.03


@every_method
def test_it_reports_the_curves_its_recipe_names(name: str) -> None:
    for event in evaluations(undisturbed(name)):
        assert tuple(event.results) == BY_NAME[name].classifiers


@every_method
def test_losses_are_named_and_finite(name: str) -> None:
    epochs = [event for event in undisturbed(name) if isinstance(event, EpochFinished)]
    assert all(event.losses for event in epochs)


@every_method
def test_memory_stays_within_the_budget(name: str) -> None:
    if not BY_NAME[name].ranked:
        pytest.skip("an upper bound keeps all data by definition")
    for event in evaluations(undisturbed(name)):
        assert event.footprint.exemplars <= 60
        assert BY_NAME[name].uses_memory or event.footprint.exemplars == 0


@every_method
@pytest.mark.parametrize(
    "slug",
    [
        "digits-b7-inc1-m60-convnet-holdout50",
        "digits-b0-inc5-m60-convnet-holdout50",
        "digits-b2-inc8-m60-convnet-holdout50",
        "digits-b8-inc2-m60-convnet-holdout50",
    ],
    ids=["one new class", "as many new as old", "more new than old", "fewer new than old"],
)
def test_any_split_works_and_the_head_is_as_wide_as_the_classes_seen(name: str, slug: str) -> None:
    for method, task in tasks_of(name, slug):
        for event in learn_task(method, task):
            if isinstance(event, EpochFinished):
                assert all(map(torch.isfinite, map(torch.tensor, event.losses.values())))
        assert method.net.classes == task.seen
        with torch.no_grad():
            assert method.net(method.transform.plain(task.train.images[:3])).logits.shape == (3, task.seen)
        method.finish_task()


@every_method
def test_destroying_old_training_images_changes_nothing(name: str) -> None:
    """A method may keep copies within its budget; one that reads old data again reads zeros here."""
    undamaged = []
    for method, task in tasks_of(name, "digits-b4-inc3-m60-convnet-holdout50"):
        list(learn_task(method, task))
        method.finish_task()
        undamaged.append(state(method))
    for index, (method, task) in enumerate(tasks_of(name, "digits-b4-inc3-m60-convnet-holdout50")):
        list(learn_task(method, task))
        method.finish_task()
        task.train.images.zero_()
        assert differing(state(method), undamaged[index]) == []


@every_method
def test_the_teacher_is_bit_identical_after_training_against_it(name: str) -> None:
    for method, task in tasks_of(name, "digits-b4-inc3-m60-convnet-holdout50"):
        before = copy.deepcopy(method.teacher.state_dict()) if method.teacher is not None else {}
        list(learn_task(method, task))
        after = method.teacher.state_dict() if method.teacher is not None else {}
        assert differing(before, after) == []
        assert method.keeps_teacher or method.teacher is None
        method.finish_task()


@every_method
def test_it_runs_on_a_residual_backbone(name: str) -> None:
    if needs_weights(name):
        pytest.skip("it runs on a transformer only")
    track = "digits-b0-inc5-m60-resnet32-holdout50"
    last = evaluations(tuple(run(short_spec(name, track, epochs=1), CPU)))[-1]
    assert last.seen == 10


@every_method
def test_global_random_state_is_neither_used_nor_changed(name: str) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    list(run(short_spec(name, "digits-b0-inc5-m60-convnet-holdout50", epochs=1), CPU))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_forces_deterministic_cudnn_algorithms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    list(run(short_spec("finetune", "digits-b0-inc5-m0-convnet-holdout50", epochs=1), CPU))
    assert torch.backends.cudnn.deterministic
