"""AdaGauss: a narrow space, temporary heads, an adapter and carried Gaussians."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure
from cil_core.learning.collapse import anti_collapse
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.recipes import AdaGaussRecipe


def first_phase(walk: Any, index: int) -> Any:
    task = walk.grown(index)
    return task, next(iter(walk.phases(task)))


def test_the_first_task_classifies_classes_in_four_turns(start: Any) -> None:
    walk = start("adagauss")
    task, phase = first_phase(walk, 0)
    method, batch = walk.method, walk.batch(task, 8)
    method.net.eval()
    losses = phase.loss(batch, walk.step(task))
    head = phase.loss.args[0]
    features = method.net.features(torch.cat([batch.x.rot90(turn, dims=(2, 3)) for turn in range(4)]))
    labels = torch.cat([4 * batch.y + turn for turn in range(4)])
    logits = features @ head.weight.T + head.bias
    assert logits.shape == (32, 16)
    assert losses["classification"].item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert losses["collapse"].item() == pytest.approx(anti_collapse(features, 1.0).item(), rel=1e-4)
    assert losses.keys() == {"classification", "collapse"}


def test_later_tasks_distil_through_a_perceptron(start: Any) -> None:
    walk = start("adagauss")
    task, phase = first_phase(walk, 1)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    losses = phase.loss(batch, walk.step(task))
    head, distiller = phase.loss.args[:2]
    features = method.net.features(batch.x)
    target = method.teacher.features(batch.x)
    assert losses["distillation"].item() == pytest.approx(
        10 * F.mse_loss(distiller(features), target).item(), rel=1e-4
    )
    expected = F.cross_entropy(features @ head.weight.T + head.bias, batch.y - 4)
    assert losses["classification"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert len(head.weight) == 3


def test_the_first_hundredth_of_the_epochs_gives_the_backbone_no_gradient(start: Any) -> None:
    walk = start("adagauss")
    task, phase = first_phase(walk, 1)
    batch, weight = walk.batch(task), walk.method.net.backbone.trunk[1].conv.weight
    for epoch, reaches in ((0, False), (1, False), (2, True)):
        total = sum(phase.loss(batch, walk.step(task, epoch=epoch, epochs=200)).values())
        (gradient,) = torch.autograd.grad(total, weight, allow_unused=True)
        assert (gradient is not None) == reaches


def test_gradients_are_clipped_by_the_published_schedules() -> None:
    recipe = AdaGaussRecipe.published()
    assert {schedule.clip_norm for schedule in recipe.schedules.values()} == {1.0}


def test_task_heads_distillers_and_adapters_are_not_kept(start: Any) -> None:
    walk = start("adagauss")
    method = walk.finish(0)
    network = sum(parameter.numel() for parameter in method.net.parameters())
    buffers = sum(
        value.numel() * value.element_size()
        for name, value in method.net.named_buffers()
        if not name.startswith("head")
    )
    gaussians = 4 * (16 + 16 * 16)
    assert measure(method).kept_bytes == 4 * network + buffers + 4 * gaussians


def test_new_gaussians_cover_images_and_their_mirror_images(start: Any) -> None:
    walk = start("adagauss")
    method, train = walk.finish(0), walk.task(0).train
    for label in range(4):
        images = train.images[train.labels == label]
        features = method.net.features(train.transform.plain(torch.cat([images, images.flip(-1)]))).detach()
        assert torch.allclose(method.net.head.means[label], features.mean(dim=0), atol=1e-4)
        assert torch.allclose(method.net.head.covariances[label], torch.cov(features.T), atol=1e-3)


def test_a_linear_adapter_carries_old_gaussians_exactly(start: Any) -> None:
    walk = start("adagauss", adapter="linear")
    task = walk.grown(1)
    head = walk.method.net.head
    means, spreads = head.means[:4].clone(), head.covariances[:4].clone()
    for phase in walk.phases(task):
        adapter = phase.model
    assert phase.name == "adapter"
    weight = adapter.weight.detach()
    assert torch.allclose(head.means[:4], means @ weight.T + adapter.bias.detach(), atol=1e-5)
    assert torch.allclose(head.covariances[:4], weight @ spreads @ weight.T, atol=1e-4)


def test_a_perceptron_carries_draws_of_old_gaussians(start: Any) -> None:
    walk = start("adagauss")
    task = walk.grown(1)
    before = walk.method.net.head.means[:4].clone()
    for phase in walk.phases(task):
        adapter = phase.model
    head = walk.method.net.head
    assert torch.linalg.eigvalsh(head.covariances[:4]).min() > -1e-6
    assert not torch.allclose(head.means[:4], before, atol=1e-3)
    with torch.no_grad():
        assert (head.means[:4] - adapter(before)).norm() < 0.5 * (before - adapter(before)).norm()


def test_the_first_task_has_no_adapter(start: Any) -> None:
    walk = start("adagauss")
    assert [phase.name for phase in walk.phases(walk.grown(0))] == ["fit"]


def test_images_are_classified_by_the_gaussians(start: Any) -> None:
    walk = start("adagauss")
    method = walk.finish(0)
    x = method.transform.plain(walk.task(0).train.images[:20])
    outputs = method.net(x)
    scores = method.classifier("gaussian").prepare(method)(x, outputs)
    assert torch.equal(scores, outputs.logits)
    assert outputs.features.shape == (20, 16)


def test_a_batch_that_determines_no_covariance_is_refused() -> None:
    recipe = AdaGaussRecipe.model_validate({"preset": "small", "width": 17})
    with pytest.raises(InvalidSpec, match="a batch has 32 features and needs twice the width of 17, or more"):
        recipe.check_track(DATASETS["digits"], BACKBONES["convnet"])
    AdaGaussRecipe.published().check_track(DATASETS["digits"], BACKBONES["convnet"])


def test_without_distillation_and_collapse_it_is_training_with_a_task_head(start: Any) -> None:
    walk = start("adagauss", distillation_weight=0.0, collapse_weight=0.0)
    task, phase = first_phase(walk, 1)
    losses = phase.loss(walk.batch(task), walk.step(task))
    assert losses["distillation"].item() == 0
    assert losses["collapse"].item() == 0
