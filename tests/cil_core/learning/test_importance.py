"""The Fisher information against loops and closed forms; the penalty and merging by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.engine.checkpoint import restore
from cil_core.learning.importance import Importance, batch_fisher, fisher
from cil_core.nets.backbones import build_backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.catalog import DATASETS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def net() -> IncrementalNet[LinearHead]:
    """Three classes; batch-norm statistics that are not those of the data."""
    backbone = build_backbone("convnet", 1, generator())
    net = IncrementalNet(backbone, LinearHead(backbone.feature_dim))
    net.grow(3, generator(1))
    net.train()
    net(torch.randn(16, 1, 8, 8, generator=generator(2)))
    return net


@pytest.fixture
def data() -> ArrayDataset:
    images = torch.randint(256, (41, 1, 8, 8), generator=generator(3), dtype=torch.uint8)
    return ArrayDataset(images, torch.arange(41) % 3, Transform(DATASETS["digits"]))


def squared_gradients(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*net.named_parameters(), strict=True)
    return dict(
        zip(
            names,
            (g.square() for g in torch.autograd.grad(F.cross_entropy(net(x).logits, y), parameters)),
            strict=True,
        )
    )


def averaged(terms: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([term[name] for term in terms]).mean(dim=0) for name in terms[0]}


def test_fisher_is_the_mean_of_each_images_squared_gradient(net: IncrementalNet, data: ArrayDataset) -> None:
    """41 images are more than one chunk, and not a whole number of chunks."""
    found = fisher(net, data, "data", generator())
    net.eval()
    x = data.transform.plain(data.images)
    expected = averaged(
        [squared_gradients(net, x[i : i + 1], data.labels[i : i + 1]) for i in range(len(data))]
    )
    assert found.keys() == dict(net.named_parameters()).keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-9), name
        assert (found[name] >= 0).all()


def test_fisher_of_the_head_in_closed_form(net: IncrementalNet, data: ArrayDataset) -> None:
    """∂ CE / ∂ w_c = (p_c − y_c) f and ∂ CE / ∂ b_c = p_c − y_c."""
    found = fisher(net, data, "data", generator())
    net.eval()
    with torch.no_grad():
        outputs = net(data.transform.plain(data.images))
    surprise = (outputs.logits.softmax(dim=1) - F.one_hot(data.labels, 3)).square()  # (N, 3)
    assert torch.allclose(found["head.bias"], surprise.mean(dim=0), rtol=1e-4)
    assert torch.allclose(found["head.weight"], surprise.T @ outputs.features.square() / 41, rtol=1e-4)


def test_labels_drawn_from_the_model_give_the_expectation_over_its_predictions(
    net: IncrementalNet, data: ArrayDataset
) -> None:
    """E over y ~ p of (p_c − y_c)² is p_c (1 − p_c)."""
    repeated = data.select(torch.arange(41).repeat(25))
    found = fisher(net, repeated, "model", generator())["head.bias"]
    with torch.no_grad():
        chances = net.eval()(data.transform.plain(data.images)).logits.softmax(dim=1)
    assert torch.allclose(found, (chances * (1 - chances)).mean(dim=0), rtol=0.15)


def test_labels_are_drawn_from_the_generator_alone(net: IncrementalNet, data: ArrayDataset) -> None:
    first, again, other = (fisher(net, data, "model", generator(seed))["head.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_batch_fisher_squares_the_mean_gradient_of_each_batch(
    net: IncrementalNet, data: ArrayDataset
) -> None:
    found = batch_fisher(net, data, 16, "data", generator(9))
    net.eval()
    expected = averaged(
        [squared_gradients(net, batch.x, batch.y) for batch in data.batches(16, generator(9))]
    )
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-10), name


def test_batch_fisher_underestimates_and_agrees_for_batches_of_one(
    net: IncrementalNet, data: ArrayDataset
) -> None:
    each = fisher(net, data, "data", generator())
    single = batch_fisher(net, data, 1, "data", generator())
    large = batch_fisher(net, data, 41, "data", generator())
    assert all(torch.allclose(each[name], single[name], rtol=1e-4, atol=1e-9) for name in each)
    assert (
        sum(float(value.sum()) for value in large.values())
        < sum(float(value.sum()) for value in each.values()) / 2
    )


@pytest.mark.parametrize(
    "estimate", [fisher, lambda *a: batch_fisher(a[0], a[1], 16, *a[2:])], ids=["per sample", "batch"]
)
@pytest.mark.parametrize("training", [True, False])
def test_estimating_changes_nothing_in_the_network(
    estimate: Callable[..., object], training: bool, net: IncrementalNet, data: ArrayDataset
) -> None:
    net.train(training)
    before = copy.deepcopy(net.state_dict())
    estimate(net, data, "model", generator())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training == training
    assert all(parameter.grad is None for parameter in net.parameters())


# ------------------------------------------------------------------ penalty and merging


def line(*values: float) -> nn.Module:
    module = nn.Module()
    module.part = nn.Module()
    module.part.weight = nn.Parameter(torch.tensor(values))
    return module


def importance(*values: float) -> Importance:
    found = Importance()
    found.accumulate({"part.weight": torch.tensor(values)})
    return found


def test_the_penalty_by_hand_leaves_new_rows_free() -> None:
    model = line(1.0, 4, 100)
    penalty = importance(2.0, 3).penalty(model, line(0.0, 2))
    assert penalty.item() == (2 * 1 + 3 * 4) / 2
    penalty.backward()
    assert model.part.weight.grad.tolist() == [2, 6, 0]


def test_the_penalty_and_its_gradient_are_zero_at_the_anchor_and_quadruple_with_twice_the_distance() -> None:
    found, anchor = importance(2.0, 3), line(1.0, 2)
    at_anchor = line(1.0, 2)
    penalty = found.penalty(at_anchor, anchor)
    penalty.backward()
    assert penalty.item() == 0
    assert at_anchor.part.weight.grad.tolist() == [0, 0]
    assert found.penalty(line(3.0, -2), anchor).item() == 4 * found.penalty(line(2.0, 0), anchor).item()


def test_averaging_weighs_old_rows_and_takes_new_ones() -> None:
    found = importance(4.0, 8)
    found.average({"part.weight": torch.tensor([1.0, 2, 5])}, old_share=0.75)
    assert found.get("part.weight").tolist() == [0.75 * 4 + 0.25, 0.75 * 8 + 0.5, 5]


def test_accumulating_keeps_the_full_old_weight() -> None:
    found = importance(4.0, 8)
    found.accumulate({"part.weight": torch.tensor([1.0, 2, 5])})
    assert found.get("part.weight").tolist() == [5, 10, 5]


def test_the_first_average_is_the_new_estimate() -> None:
    found = Importance()
    found.average({"part.weight": torch.tensor([1.0, 2])}, old_share=0.0)
    assert found.get("part.weight").tolist() == [1, 2]


def test_merging_does_not_change_the_new_estimate() -> None:
    found, fresh = importance(4.0, 8), torch.tensor([1.0, 2, 5])
    found.average({"part.weight": fresh}, 0.5)
    found.accumulate({"part.weight": fresh})
    assert fresh.tolist() == [1, 2, 5]


def test_importance_is_restored_from_its_state() -> None:
    found, again = importance(4.0, 8), Importance()
    restore(again, found.state_dict())
    assert again.get("part.weight").tolist() == [4, 8]
