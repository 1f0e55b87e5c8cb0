"""iCaRL: both losses, and the nearest mean of herded exemplars."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.learning.classifiers import NearestMean, class_means
from cil_core.learning.memory import select
from cil_core.nets.incremental import Outputs


def test_by_default_the_loss_is_cross_entropy_and_distillation_with_equal_weights(start: Any) -> None:
    walk = start("icarl")
    task = walk.grown(1)
    batch = walk.batch(task, images=100)
    walk.method.net.eval()
    logits, teacher = walk.method.net(batch.x).logits, walk.method.teacher(batch.x).logits
    losses = walk.method.losses(batch, walk.step(task))
    assert losses["classification"].item() == pytest.approx(F.cross_entropy(logits, batch.y).item())
    soft = F.softmax(teacher / 2, dim=1)
    assert losses["distillation"].item() == pytest.approx(
        -(soft * F.log_softmax(logits[:, :4] / 2, dim=1)).sum(1).mean().item(), rel=1e-5
    )


@pytest.mark.parametrize(("loss", "terms"), [("ce", {"classification"}), ("bce", {"binary"})])
def test_the_first_task_has_nothing_to_distil(start: Any, loss: str, terms: set[str]) -> None:
    walk = start("icarl", loss=loss)
    task = walk.grown(0)
    batch = walk.batch(task)
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == terms
    if loss == "bce":
        expected = F.binary_cross_entropy_with_logits(
            walk.method.net(batch.x).logits, F.one_hot(batch.y, 4).float(), reduction="sum"
        ) / (24 * 10)
        assert losses["binary"].item() == pytest.approx(expected.item())


def test_in_the_published_loss_the_labels_of_exemplars_do_not_matter(start: Any) -> None:
    walk = start("icarl", loss="bce")
    task = walk.grown(1)
    batch = walk.batch(task, images=100)
    walk.method.net.eval()
    wrong = torch.where(batch.y < 4, (batch.y + 1) % 4, batch.y)
    assert (wrong != batch.y).any()
    step = walk.step(task)
    relabelled = type(batch)(batch.x, wrong, batch.index, batch.raw)
    assert torch.equal(
        walk.method.losses(batch, step)["binary"], walk.method.losses(relabelled, step)["binary"]
    )


@pytest.mark.parametrize("selection", ["herding_greedy", "herding_welling"])
def test_exemplars_are_chosen_as_the_recipe_says(start: Any, selection: str) -> None:
    walk = start("icarl", selection=selection)
    method = walk.finish(0)
    assert torch.equal(
        method.memory.images, select(walk.task(0).train, 15, selection, method.unit_features).images
    )
    assert method.memory.labels.bincount().tolist() == [15] * 4


@pytest.mark.parametrize("flip", [False, True])
def test_it_ranks_by_the_nearest_mean_with_optional_flips(start: Any, flip: bool) -> None:
    walk = start("icarl", nme_flip=flip)
    method = walk.finish(0)
    assert isinstance(method.classifiers[0], NearestMean)
    means = class_means(method, flip=flip)
    assert torch.allclose(means.norm(dim=1), torch.ones(4))
    features = method.raw_features(walk.task(0).train)[:40]
    scores = method.classifiers[0].prepare(method)(torch.zeros(0), Outputs(torch.zeros(40, 4), features))
    assert torch.equal(scores.argmax(dim=1), (F.normalize(features, dim=1) @ means.T).argmax(dim=1))


def test_means_of_all_classes_move_with_the_extractor(start: Any) -> None:
    walk = start("icarl")
    before = class_means(walk.finish(0))
    after = class_means(walk.finish(1))
    assert after.shape == (7, 64)
    assert not torch.allclose(after[:4], before, atol=1e-3)
