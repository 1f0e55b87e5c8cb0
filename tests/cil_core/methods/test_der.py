"""DER: what its stages may and may not change, its terms, and its pruning."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cil_core.data import load
from cil_core.data.order import task_stream
from cil_core.engine.registry import create
from cil_core.engine.run import context_of, learn_task
from cil_core.engine.trainer import train
from cil_core.learning.phase import Step, Task
from cil_core.methods.der import DER
from cil_core.spec.jobs import RunSpec
from cil_core.spec.recipes.expansion import DERRecipe

SHORT = {"epochs": 2, "batch_size": 64, "lr": 0.05, "milestones": [], "warmup_epochs": 0}


def tasks(**recipe: object) -> Iterator[tuple[DER, Task]]:
    fields = {
        "name": "der",
        "first_task": SHORT,
        "later_tasks": SHORT,
        "classifier": SHORT,
        "statistics_batches": 3,
        **recipe,
    }
    spec = RunSpec.model_validate({"method": fields, "track": "digits-b4-inc3-m60-convnet", "seed": 1})
    source = load(spec.track, Path("/nonexistent"))
    bounds = tuple(accumulate(spec.track.protocol.task_sizes(10), initial=0))
    method = create(spec.method, context_of(spec, source.card, "cpu"))
    assert isinstance(method, DER)
    for index, data in enumerate(task_stream(source, spec.track)):
        yield method, Task(index, bounds[: index + 2], data.train)


def test_old_extractors_are_bit_identical_after_both_stages() -> None:
    for method, task in tasks():
        before = (
            [copy.deepcopy(extractor.state_dict()) for extractor in method.net.extractors]
            if not task.is_first
            else []
        )
        list(learn_task(method, task))
        for old, extractor in zip(before, method.net.extractors, strict=False):
            assert all(torch.equal(old[name], value) for name, value in extractor.state_dict().items())


def test_no_gradient_outlives_its_phase() -> None:
    for method, task in tasks():
        method.grow(task)
        for number, phase in enumerate(method.learn(task)):
            list(train(phase, task, method.context.randomness, number))
            assert [name for name, parameter in method.named_parameters() if parameter.grad is not None] == []
        method.remember(task)


def test_the_second_stage_changes_nothing_but_the_head() -> None:
    for method, task in tasks():
        method.grow(task)
        for number, phase in enumerate(method.learn(task)):
            if phase.name == "classifier":
                before = copy.deepcopy(method.net.state_dict())
                list(train(phase, task, method.context.randomness, number))
                changed = {
                    name
                    for name, value in method.net.state_dict().items()
                    if not torch.equal(value, before[name])
                }
                assert changed == {"head.weight", "head.bias"}
                counts = torch.bincount(torch.cat([batch.y for batch in phase.data.batches(999)]))
                assert counts.unique().numel() == 1
            else:
                list(train(phase, task, method.context.randomness, number))
        method.remember(task)


def test_the_first_task_is_cross_entropy_and_sparsity() -> None:
    method, task = next(tasks())
    method.grow(task)
    phase = next(iter(method.learn(task)))
    batch = next(iter(phase.data.batches(16)))
    losses = phase.loss(batch, Step(task, 0, 2, 0, 9))
    assert set(losses) == {"classification", "sparsity"}
    torch.testing.assert_close(losses["classification"], F.cross_entropy(method.net(batch.x).logits, batch.y))
    assert method.masks is not None
    torch.testing.assert_close(losses["sparsity"], 0.75 * method.masks.sparsity())


def test_every_extractor_is_smaller_after_pruning_and_the_next_starts_whole() -> None:
    whole = 0
    for method, task in tasks(sparsity_weight=30.0, mask_spread=0.2):
        method.grow(task)
        newest = sum(parameter.numel() for parameter in method.net.newest.parameters())
        whole = whole or newest
        assert newest == whole
        for number, phase in enumerate(method.learn(task)):
            list(train(phase, task, method.context.randomness, number))
        method.remember(task)
        after = sum(parameter.numel() for parameter in method.net.newest.parameters())
        assert after < whole
        assert method.diagnostics["parameters_before_pruning"] == whole
        assert method.diagnostics["parameters_after_pruning"] == after


def test_without_pruning_extractors_stay_whole_and_no_copy_is_kept() -> None:
    for method, task in tasks(prune=False):
        list(learn_task(method, task))
        assert method.unpruned is None
        sizes = {
            sum(parameter.numel() for parameter in extractor.parameters())
            for extractor in method.net.extractors
        }
        assert len(sizes) == 1


def test_only_the_newest_extractor_the_masks_and_the_heads_train_in_the_first_stage() -> None:
    for method, task in tasks():
        method.grow(task)
        phases = method.learn(task)
        phase = next(phases)
        assert phase.params is not None
        trained = {id(parameter) for parameter in (*phase.params, *phase.undecayed)}
        expected = {*map(id, method.net.newest.parameters()), *map(id, method.net.head.parameters())}
        if not task.is_first:
            assert method.net.auxiliary is not None
            assert method.net.auxiliary.classes == task.new + 1
            expected |= set(map(id, method.net.auxiliary.parameters()))
        assert trained == expected
        list(train(phase, task, method.context.randomness))
        for number, later in enumerate(phases, start=1):
            list(train(later, task, method.context.randomness, number))
        method.remember(task)


def test_a_track_with_less_than_one_exemplar_a_class_is_refused() -> None:
    from cil_core.spec.errors import InvalidSpec
    from cil_core.spec.jobs import Track
    from cil_core.spec.validation import check

    with pytest.raises(InvalidSpec, match="at least 1 exemplar"):
        check(DERRecipe(), Track.from_slug("digits-b0-inc2-m9-convnet"))


def test_the_official_configuration_resets_the_head_after_warming_up_in_the_first_task_too() -> None:
    warm = {"epochs": 3, "batch_size": 64, "lr": 0.05, "milestones": [], "warmup_epochs": 1}
    method, task = next(tasks(prune=False, reset_heads_after_warmup=True, first_task=warm))
    method.grow(task)
    phase = next(iter(method.learn(task)))
    batch = next(phase.data.batches(8))
    for epoch, resets in ((0, False), (1, True), (2, False)):
        before = method.net.head.weight.detach().clone()
        phase.loss(batch, Step(task, epoch, 3, 0, 9))
        assert torch.equal(before, method.net.head.weight) is not resets


def test_without_a_warm_up_no_head_is_reset() -> None:
    method, task = next(tasks(prune=False, reset_heads_after_warmup=True))
    method.grow(task)
    phase = next(iter(method.learn(task)))
    before = method.net.head.weight.detach().clone()
    phase.loss(next(phase.data.batches(8)), Step(task, 0, 2, 0, 9))
    assert torch.equal(before, method.net.head.weight)


def test_the_official_configuration_has_no_bias_no_masks_and_resets_both_heads_after_warming_up() -> None:
    official = DERRecipe.from_preset("official")
    assert (official.prune, official.inherit_head, official.head_bias, official.reset_heads_after_warmup) == (
        False,
        False,
        False,
        True,
    )
    warm = {"epochs": 3, "batch_size": 64, "lr": 0.05, "milestones": [], "warmup_epochs": 1}
    for method, task in tasks(prune=False, head_bias=False, reset_heads_after_warmup=True, later_tasks=warm):
        method.grow(task)
        assert method.net.head.bias is None
        for number, phase in enumerate(method.learn(task)):
            if phase.name == "representation" and not task.is_first:
                assert method.net.auxiliary is not None
                assert method.net.auxiliary.bias is None
                batch = next(phase.data.batches(8))
                for epoch, resets in ((0, False), (1, True), (2, False)):
                    heads = (
                        method.net.head.weight.detach().clone(),
                        method.net.auxiliary.weight.detach().clone(),
                    )
                    phase.loss(batch, Step(task, epoch, 3, 0, 9))
                    assert torch.equal(heads[0], method.net.head.weight) is not resets
                    assert torch.equal(heads[1], method.net.auxiliary.weight) is not resets
            list(train(phase, task, method.context.randomness, number))
        method.remember(task)
