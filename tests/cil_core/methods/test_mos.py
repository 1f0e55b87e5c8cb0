"""MOS: adapters that merge once per step in training, and never in testing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.first_task import digest
from cil_core.methods.mos import apartness
from cil_core.spec.recipes import MOSRecipe


def names(index: int) -> set[str]:
    return {f"net.sites.{index}.{name}" for name in ("down", "down_bias", "up", "up_bias")}


def test_evaluation_changes_nothing_and_repeats_bit_for_bit(start_pretrained: Any) -> None:
    """The published code merges adapters at every forward pass, also in testing."""
    walk = start_pretrained("mos")
    for index in range(3):
        walk.finish(index)
    net, x = walk.method.net.eval(), walk.batch(walk.task(2)).x
    before = digest(walk.method.state_dict())
    with torch.no_grad():
        first, second = net(x).logits, net(x).logits
    assert torch.equal(first, second)
    assert digest(walk.method.state_dict()) == before


def test_a_task_begins_with_the_adapters_of_the_last_one(start_pretrained: Any) -> None:
    walk = start_pretrained("mos")
    walk.grown(1)
    first, second = walk.method.net.adapters
    assert first is not second
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(("merge", "left"), [(0.1, 0.9), (0.0, 1.0), (1.0, 0.0)])
def test_a_step_leaves_a_share_of_the_distance_to_the_mean_of_earlier_adapters(
    start_pretrained: Any, merge: float, left: float
) -> None:
    walk = start_pretrained("mos", merge=merge)
    task = walk.grown(2)
    first, second, newest = walk.method.net.adapters
    with torch.no_grad():
        newest.up.add_(0.5)
    mean = (first.up + second.up) / 2
    before = (newest.up - mean).norm()
    walk.method.merge(walk.batch(task), walk.step(task))
    assert ((newest.up - mean).norm() / before).item() == pytest.approx(left, abs=1e-5)


def test_the_published_code_leaves_the_mean_of_earlier_adapters(start_pretrained: Any) -> None:
    walk = start_pretrained("mos", stored="mean")
    for index in range(3):
        walk.finish(index)
    first, second, third = walk.method.net.adapters
    assert torch.equal(second.up, first.up)
    assert torch.allclose(third.up, (first.up + second.up) / 2)
    assert MOSRecipe.from_preset("published-code").merge == pytest.approx(1 - 0.254, abs=1e-3)


def test_training_merges_once_per_step_and_not_in_the_first_task(
    start_pretrained: Any, monkeypatch: Any
) -> None:
    walk = start_pretrained("mos")
    blended: list[int] = []
    monkeypatch.setattr(
        "cil_core.methods.mos.blend", lambda newest, earlier, share: blended.append(len(earlier))
    )
    walk.finish(0)
    assert blended == []
    walk.finish(1)
    assert blended == [1] * -(-len(walk.task(1).train) // 32)


def test_old_adapters_and_statistics_rest(start_pretrained: Any, differing: Any) -> None:
    walk = start_pretrained("mos")
    walk.finish(0)
    before = walk.state()
    walk.finish(1)
    after = {name: value for name, value in walk.state().items() if name in before}
    changed = differing(before, {**before, **{name: after[name] for name in names(0)}})
    assert changed == set()
    for name in ("gaussians.means", "gaussians.covariances", "net.prototypes"):
        assert torch.equal(after[name][:5], before[name])


def test_the_first_task_is_not_aligned_and_later_ones_are(start_pretrained: Any, differing: Any) -> None:
    walk = start_pretrained("mos")
    assert [phase.name for phase in walk.phases(walk.grown_next(0))] == ["fit"]
    phases = walk.phases(walk.grown_next(1))
    next(phases)
    assert next(phases).name == "alignment"
    before = walk.state()
    assert list(phases) == []
    heads = {f"net.head.{kind}.{task}" for kind in ("weights", "biases") for task in (0, 1)}
    assert differing(before, walk.state()) == heads


def test_rows_of_orthonormal_features_by_hand() -> None:
    """R = I₂: logits (1.25, 0), so −log σ(1.25) = .2519."""
    assert apartness(torch.eye(2)).item() == pytest.approx(0.2519, abs=1e-4)


def test_the_loss_sees_class_means_of_earlier_tasks(start_pretrained: Any) -> None:
    walk = start_pretrained("mos")
    task = walk.grown(1)
    batch, net = walk.batch(task), walk.method.net
    net.eval()
    found = walk.method.losses(batch, walk.step(task))
    features = net.newest(batch.x)
    rows = torch.cat([walk.method.gaussians.means, features])
    assert len(rows) == 5 + len(batch)
    expected = F.cross_entropy(rows @ rows.T / 0.8, torch.arange(len(rows)))
    assert found["orthogonality"].item() == pytest.approx(0.1 * expected.item(), rel=1e-5)
    logits = net.head(features)[:, 5:]
    assert found["classification"].item() == pytest.approx(
        F.cross_entropy(logits, batch.y - 5).item(), rel=1e-5
    )


def test_the_score_is_the_sum_of_two_probabilities(start_pretrained: Any) -> None:
    walk = start_pretrained("mos")
    for index in range(3):
        walk.finish(index)
    net, x = walk.method.net.eval(), walk.batch(walk.task(2), 8).x
    with torch.no_grad():
        scores, subspaces = net(x).logits, net.subspaces(x)
        cosines = F.cosine_similarity(subspaces[:, :1], net.prototypes[None], dim=2)
        linear = net.refined(subspaces, net.tasks[cosines.argmax(dim=1)])
        assert torch.allclose(scores, linear.softmax(dim=1) + (3 * cosines).softmax(dim=1), atol=1e-5)
        assert torch.allclose(scores.sum(dim=1), torch.tensor(2.0))


def test_class_means_vote_with_the_first_adapters(start_pretrained: Any) -> None:
    walk = start_pretrained("mos")
    for index in range(2):
        walk.finish(index)
    train = walk.task(1).train
    features = walk.method.features_with(walk.task(1), 0)
    expected = [features[train.labels == label].mean(dim=0) for label in range(5, 8)]
    assert torch.allclose(walk.method.net.prototypes[5:], torch.stack(expected), atol=1e-5)


def test_an_image_is_scored_alone_as_in_a_batch(start_pretrained: Any) -> None:
    walk = start_pretrained("mos")
    for index in range(3):
        walk.finish(index)
    net, x = walk.method.net.eval(), walk.batch(walk.task(2), 16).x
    with torch.no_grad():
        together = net(x).logits
        assert torch.allclose(torch.cat([net(image[None]).logits for image in x]), together, atol=1e-5)
        assert torch.allclose(net(x.flip(0)).logits.flip(0), together, atol=1e-5)
