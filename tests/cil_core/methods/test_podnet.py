"""PODNet: proxies, distilled stages, and the balanced fine-tuning."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cil_core.learning.losses import neighbourhood_analysis, neighbourhood_analysis_as_coded, pooled_distance
from cil_core.nets.proxies import ProxyHead
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.recipes import BY_NAME


def test_the_first_task_is_nca_alone(start: Any) -> None:
    walk = start("podnet")
    task = walk.grown(0)
    batch, net = walk.batch(task), walk.method.net.eval()
    losses = walk.method.losses(batch, walk.step(task))
    similarities = net.head.similarities(net.features(batch.x))
    assert losses.keys() == {"classification"}
    assert similarities.max() <= 0  # minus squared distances
    expected = neighbourhood_analysis_as_coded(similarities, batch.y, net.head.scale, 0.6)
    assert losses["classification"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_preset_paper_lets_the_margin_act(start: Any) -> None:
    walk = start("podnet", nca=BY_NAME["podnet"].from_preset("paper").model_dump()["nca"])
    task = walk.grown(0)
    batch, net = walk.batch(task), walk.method.net.eval()
    similarities = net.head.similarities(net.features(batch.x))
    losses = walk.method.losses(batch, walk.step(task))
    assert losses["classification"].item() == pytest.approx(
        neighbourhood_analysis(similarities, batch.y, net.head.scale, 0.6).item(), rel=1e-6
    )


def test_distillation_is_weighted_by_the_root_of_seen_over_new(start: Any) -> None:
    walk = start("podnet")
    task = walk.grown(1)
    net, teacher, batch = walk.method.net.eval(), walk.method.teacher, walk.batch(task)
    with torch.no_grad():
        for parameter in net.backbone.parameters():
            parameter.mul_(1.01)
    losses = walk.method.losses(batch, walk.step(task))
    factor = math.sqrt(7 / 3)
    assert len(net.backbone.maps(batch.x)) == 3
    spatial = pooled_distance(net.backbone.maps(batch.x), teacher.backbone.maps(batch.x)).item()
    angle = (1 - torch.cosine_similarity(net.features(batch.x), teacher.features(batch.x))).mean().item()
    assert spatial > 0
    assert losses["spatial"].item() == pytest.approx(3 * factor * spatial, rel=1e-4)
    assert losses["flat"].item() == pytest.approx(factor * angle, rel=1e-3)


def test_distillation_is_zero_while_network_and_teacher_agree(start: Any) -> None:
    walk = start("podnet")
    task = walk.grown(1)
    walk.method.net.eval()
    losses = walk.method.losses(walk.batch(task), walk.step(task))
    assert losses["spatial"].item() == pytest.approx(0, abs=1e-5)
    assert losses["flat"].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("finetune", ["all", "classifier"])
def test_every_class_has_its_proxies_and_the_old_ones_stay(start: Any, finetune: str) -> None:
    walk = start("podnet", finetune=finetune)
    walk.finish(0)
    before = walk.method.net.head.new.detach().clone()
    task = walk.task(1)
    walk.method.grow(task)
    for _ in walk.phases(task):
        pass
    head = walk.method.net.head
    assert head.old.shape == (40, 64)
    assert head.new.shape == (30, 64)
    assert torch.equal(head.old, before)


def test_the_official_fine_tuning_moves_all_proxies_and_batch_norm_statistics_alone(
    start: Any, differing: Any
) -> None:
    walk = start("podnet")
    task = walk.grown(1)
    phases = walk.phases(task)
    next(phases)
    next(phases)
    before = walk.state()
    assert next(phases, None) is None
    changed = differing(before, walk.state())
    assert {"net.head.old", "net.head.new"} <= changed
    rest = changed - {"net.head.old", "net.head.new"}
    assert rest
    assert all(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in rest)
    head = walk.method.net.head
    assert (head.old.requires_grad, head.old.grad, head.scale.grad) == (False, None, None)


def test_proxies_compare_by_minus_the_squared_distance_of_unit_vectors() -> None:
    head = ProxyHead(3, proxies=2, distance=True)
    head.append(torch.tensor([[3.0, 0, 0], [0, 2.0, 0], [0, 0, 1.0], [1.0, 1.0, 0]]))
    feature = torch.tensor([[2.0, 0.0, 0.0]])
    raw = [[0.0, -2.0], [-2.0, 2 / math.sqrt(2) - 2]]  # 2 · cos − 2 for both proxies of both classes
    expected = []
    for first, second in raw:
        weights = [math.exp(first), math.exp(second)]
        expected.append((weights[0] * first + weights[1] * second) / sum(weights))
    assert head.similarities(feature)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_balanced_set_of_preset_pycil_shares_the_budget_among_known_classes(start: Any) -> None:
    walk = start("podnet", balanced_quota="known")
    phases = walk.phases(walk.grown(1))
    next(phases)
    assert torch.bincount(next(phases).data.labels).tolist() == [60 // 4] * 7


def test_random_new_proxies_are_uniform_and_short(start: Any) -> None:
    walk = start("podnet", new_proxies="random")
    walk.grown(1)
    rows = walk.method.net.head.new
    assert rows.abs().max().item() == pytest.approx(1 / math.sqrt(64), rel=0.01)


def test_with_finetune_classifier_the_fine_tuning_moves_only_new_proxies_and_the_scale(
    start: Any, differing: Any
) -> None:
    walk = start("podnet", finetune="classifier")
    task = walk.grown(1)
    phases = walk.phases(task)
    next(phases)
    second = next(phases)
    assert second.name == "fine-tune"
    assert torch.bincount(second.data.labels).tolist() == [60 // 7] * 7
    before = walk.state()
    assert next(phases, None) is None
    assert differing(before, walk.state()) == {"net.head.new", "net.head.scale"}


def test_the_fine_tuning_of_preset_pycil_moves_everything_but_old_proxies(start: Any, differing: Any) -> None:
    walk = start("podnet", finetune="all")
    task = walk.grown(1)
    phases = walk.phases(task)
    next(phases)
    next(phases)
    before = walk.state()
    next(phases, None)
    changed = differing(before, walk.state())
    assert "net.head.old" not in changed
    assert "net.head.new" in changed
    assert any(name.startswith("net.backbone.") for name in changed)


@pytest.mark.parametrize(("limit", "largest"), [(1e-4, 1e-4), (None, None)])
def test_gradients_are_clamped_entry_by_entry(start: Any, limit: float | None, largest: float | None) -> None:
    walk = start("podnet", clip_gradient=limit)
    task = walk.grown(0)
    batch, step = walk.batch(task), walk.step(task)
    walk.method.losses(batch, step)["classification"].backward()
    walk.method.clip_gradient(batch, step)
    found = max(
        parameter.grad.abs().max().item()
        for parameter in walk.method.net.parameters()
        if parameter.grad is not None
    )
    assert found > 1e-3 if largest is None else found == pytest.approx(largest)


def test_a_backbone_without_stages_is_refused() -> None:
    recipe = BY_NAME["podnet"].from_preset("small")
    flat = BACKBONES["convnet"].model_copy(update={"name": "flat", "stages": 0})
    recipe.check_track(DATASETS["digits"], BACKBONES["convnet"])
    with pytest.raises(
        InvalidSpec, match="PODNet: it distils the stages of a backbone; flat has none"
    ) as refused:
        recipe.check_track(DATASETS["digits"], flat)
    assert refused.value.field == ("track", "backbone")
