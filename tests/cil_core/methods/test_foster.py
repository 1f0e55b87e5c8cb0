"""FOSTER: the terms of boosting and compression, and what each may change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from cil_core.engine.evaluation import evaluate
from cil_core.learning.losses import balanced_distillation, distillation, effective_number_weights
from cil_core.methods.foster import Boosted
from cil_core.nets.incremental import Outputs
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.recipes.boosting import FOSTERRecipe


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def boosting(walk: Any) -> tuple[Any, Any]:
    """The second task and its first phase, before it is trained."""
    task = walk.grown(1)
    return task, next(walk.phases(task))


def test_class_weights_follow_the_effective_number_of_images() -> None:
    weights = effective_number_weights(torch.tensor([500, 20]), 0.96)
    rare, common = (1 - 0.96) / (1 - 0.96**20), (1 - 0.96) / (1 - 0.96**500)
    torch.testing.assert_close(
        weights, torch.tensor([2 * common / (rare + common), 2 * rare / (rare + common)])
    )
    assert weights.sum().item() == pytest.approx(2)
    assert torch.equal(effective_number_weights(torch.tensor([7, 7, 7]), 0.9), torch.ones(3))
    torch.testing.assert_close(effective_number_weights(torch.tensor([1, 500]), 0.0), torch.ones(2))


def test_balanced_distillation_by_hand_and_with_equal_weights() -> None:
    student, teacher = torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0, 0.0]])
    p = torch.tensor([torch.e, 1.0]) / (torch.e + 1)  # softmax of (1, 0)
    target = p * torch.tensor([0.5, 1.5])
    target = target / target.sum()
    expected = -(target * torch.log(torch.tensor([1.0, torch.e]) / (torch.e + 1))).sum()
    torch.testing.assert_close(
        balanced_distillation(student, teacher, torch.tensor([0.5, 1.5]), 2.0), expected
    )
    student, teacher = random(5, 4), random(4, 5).T
    torch.testing.assert_close(
        balanced_distillation(student, teacher, torch.ones(4), 2.0), distillation(student, teacher, 2.0)
    )


def test_boosting_divides_logits_enhances_new_features_and_keeps_old_outputs(start: Any) -> None:
    walk = start("foster")
    task, phase = boosting(walk)
    method, batch = walk.method, walk.batch(task)
    method.boosted.eval()
    losses = phase.loss(batch, walk.step(task))
    features = torch.cat([extractor(batch.x) for extractor in method.boosted.extractors], dim=1)
    logits = method.boosted.head(features)
    counts = torch.bincount((task.train + method.memory.data).labels)
    torch.testing.assert_close(method.weights, effective_number_weights(counts, 0.96))
    torch.testing.assert_close(losses["classification"], F.cross_entropy(logits / method.weights, batch.y))
    enhanced = method.boosted.auxiliary(features[:, 64:])
    assert enhanced.shape[1] == task.seen
    torch.testing.assert_close(losses["enhancement"], F.cross_entropy(enhanced, batch.y))
    torch.testing.assert_close(
        losses["distillation"],
        distillation(logits[:, :4], method.teacher(batch.x).logits, 2.0),
        rtol=1e-4,
        atol=1e-5,
    )


def test_right_after_growth_the_boosted_network_agrees_with_the_old_one_on_old_classes(start: Any) -> None:
    walk = start("foster")
    walk.grown(1)
    boosted = walk.method.boosted.eval()
    boosted.head.weight.data[:4, 64:] = 0
    x = walk.batch(walk.task(1)).x
    torch.testing.assert_close(boosted(x).logits[:, :4], walk.method.teacher(x).logits)


def test_boosting_leaves_the_old_network_alone_and_compression_the_boosted_one(
    start: Any, differing: Any
) -> None:
    walk = start("foster")
    task = walk.grown(1)
    method = walk.method
    old = {name: value.clone() for name, value in method.boosted.extractors[0].state_dict().items()}
    student = walk.state()
    for phase in walk.phases(task):
        if phase.name == "compress":
            assert not differing(student, walk.state())
            boosted = {name: value.clone() for name, value in method.boosted.state_dict().items()}
    assert not differing(old, dict(method.boosted.extractors[0].state_dict()))
    assert not differing(boosted, dict(method.boosted.state_dict()))
    assert differing(student, walk.state())
    assert method.net.head.weight.shape == (7, 64)
    assert phase.schedule.weight_decay == 0


def test_compression_is_balanced_distillation_alone(start: Any) -> None:
    walk = start("foster")
    task = walk.grown(1)
    *_, phase = walk.phases(task)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    counts = torch.bincount((task.train + method.memory.data).labels)
    expected = balanced_distillation(
        method.net(batch.x).logits,
        method.boosted(batch.x).logits,
        effective_number_weights(counts, 0.97),
        2.0,
    )
    losses = phase.loss(batch, walk.step(task))
    assert set(losses) == {"distillation"}
    torch.testing.assert_close(losses["distillation"], expected)


@pytest.mark.parametrize("uses", [True, False])
def test_new_classes_can_be_kept_from_old_features(start: Any, uses: bool) -> None:
    walk = start("foster", new_classes_from_old_features=uses)
    task = walk.grown(1)
    assert (
        bool((walk.method.boosted.head.weight[4:, :64] == 0).all()) is not uses
    )  # the first batch already sees it held
    for _ in walk.phases(task):
        pass
    assert bool((walk.method.boosted.head.weight[4:, :64] == 0).all()) is not uses


def test_exemplars_are_herded_by_both_branches_and_both_curves_are_reported(start: Any) -> None:
    walk = start("foster")
    walk.finish(0)
    task = walk.task(1)
    walk.method.grow(task)
    assert walk.method.raw_features(task.train).shape == (len(task.train), 128)
    for number, _ in enumerate(walk.phases(task)):
        assert number < 2
    counts = evaluate(walk.method, [walk.stream[0].test, walk.stream[1].test])
    assert set(counts) == {"linear", "boosted"}
    x = walk.stream[1].test.images[:3].float()
    outputs = walk.method.net.eval()(x)
    assert not torch.equal(Boosted().prepare(walk.method)(x, outputs), outputs.logits)


def test_in_the_first_task_both_curves_are_one_and_nothing_of_the_boosted_network_is_kept(start: Any) -> None:
    walk = start("foster")
    walk.finish(0)
    outputs = Outputs(random(2, 4), random(2, 64))
    assert Boosted().prepare(walk.method)(random(2, 1), outputs) is outputs.logits
    names = set(walk.method.state_dict())
    walk.finish(1)
    assert walk.method.boosted is None
    assert set(walk.method.state_dict()) == names


def test_betas_are_given_once_or_task_by_task() -> None:
    assert FOSTERRecipe().boosting_beta_of(3) == 0.96
    listed = FOSTERRecipe.from_preset("paper-b0-inc10")
    assert [listed.boosting_beta_of(task) for task in (1, 2, 9, 12)] == [0.98, 0.975, 0.94, 0.94]
    with pytest.raises(ValidationError, match="in \\[0, 1\\)"):
        FOSTERRecipe(boosting_beta=1.0)
    with pytest.raises(ValidationError, match="in \\[0, 1\\)"):
        FOSTERRecipe(boosting_beta=())


def test_autoaugment_is_added_on_request_and_refused_where_it_is_not_defined(start: Any) -> None:
    walk = start("foster", autoaugment=True)
    task = walk.grown(0)
    (phase,) = walk.phases(task)
    assert phase.data.transform.tokens[-2:] == ("autoaugment", "cutout:16")
    four = DATASETS["cifar100"].model_copy(update={"channels": 4})
    with pytest.raises(InvalidSpec, match="AutoAugment needs 1 or 3 channels"):
        FOSTERRecipe(autoaugment=True).check_track(four, BACKBONES["resnet32"])
