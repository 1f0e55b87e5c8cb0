"""AFC: the weighted distillation, the measurement, and the fine-tuning of proxies."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cil_core.learning.channel_importance import weighted_channel_distance
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.recipes import AFCRecipe


def test_the_first_task_is_classification_alone(start: Any) -> None:
    walk = start("afc")
    task = walk.grown(0)
    assert walk.method.losses(walk.batch(task), walk.step(task)).keys() == {"classification"}


def test_the_distance_weighs_four_times_the_root_of_seen_over_new(start: Any) -> None:
    walk = start("afc")
    task = walk.grown(1)
    net, teacher, batch = walk.method.net.eval(), walk.method.teacher, walk.batch(task)
    with torch.no_grad():
        for parameter in net.backbone.parameters():
            parameter.add_(0.02)
    distance = weighted_channel_distance(
        net.backbone.maps(batch.x), teacher.backbone.maps(batch.x), walk.method.importance
    )
    found = walk.method.losses(batch, walk.step(task))["consolidation"].item()
    assert distance > 0
    assert found == pytest.approx(4 * math.sqrt(7 / 3) * distance.item(), rel=1e-3)


def test_the_distance_is_zero_while_network_and_teacher_agree(start: Any) -> None:
    walk = start("afc")
    task = walk.grown(1)
    walk.method.net.eval()
    found = walk.method.losses(walk.batch(task), walk.step(task))["consolidation"].item()
    assert found == pytest.approx(0, abs=1e-4)


def test_importances_are_measured_after_every_task_with_mean_one_per_stage(start: Any) -> None:
    walk = start("afc")
    first = walk.finish(0).importance.clone()
    second = walk.finish(1).importance
    assert first.shape == second.shape == (32 + 64 + 64,)
    assert not torch.equal(first, second)
    for stage in second.split([32, 64, 64]):
        assert stage.mean().item() == pytest.approx(1, rel=1e-4)


def test_measuring_moves_no_batch_norm_statistics(start: Any, differing: Any) -> None:
    walk = start("afc")
    task = walk.grown(0)
    list(walk.phases(task))
    before = walk.state()
    walk.method.consolidate(task)
    after = walk.state()
    assert {name for name in before if before[name].shape == after[name].shape} >= set(before) - {
        "importance"
    }
    before.pop("importance")
    after.pop("importance")
    assert differing(before, after) == set()


def test_fine_tuning_changes_all_proxies_and_no_weight_of_the_extractor(start: Any) -> None:
    walk = start("afc")
    task = walk.grown(1)
    phases = walk.phases(task)
    next(phases)
    tuned = next(phases)
    before = {name: value.detach().clone() for name, value in walk.method.net.named_parameters()}
    assert tuned.data.labels.bincount().tolist() == [8] * 7
    assert next(phases, None) is None
    changed = {
        name for name, value in walk.method.net.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == {"head.old", "head.new"}
    assert not walk.method.net.head.old.requires_grad


def test_with_preset_margin_the_margin_acts(start: Any) -> None:
    def loss(nca: str, margin: float) -> float:
        walk = start("afc", nca=nca, margin=margin)
        task = walk.grown(0)
        walk.method.net.eval()
        found: float = walk.method.losses(walk.batch(task), walk.step(task))["classification"].item()
        return found

    assert AFCRecipe.from_preset("margin").nca == "as_stated"
    assert loss("as_stated", 0.6) > loss("as_stated", 0.0)
    assert loss("as_coded", 0.6) == pytest.approx(loss("as_coded", 0.0), rel=1e-5)


def test_a_backbone_without_stages_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="it distils the stages of a backbone; vit_b16 has none"):
        AFCRecipe.published().check_track(DATASETS["imagenet100"], BACKBONES["vit_b16"])
