"""BiC: a balanced held-out set, a correction a task, and a second stage that touches two numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.validation import check


def rows(data: Any) -> set[tuple[int, bytes]]:
    return {
        (label, image.numpy().tobytes())
        for label, image in zip(data.labels.tolist(), data.images, strict=True)
    }


@pytest.mark.parametrize(("memory", "expected"), [("m20", 1), ("m60", 1), ("m200", 5), ("m30pc", 3)])
def test_the_held_out_set_is_balanced_and_apart_from_the_rest(start: Any, memory: str, expected: int) -> None:
    walk = start("bic", f"digits-b4-inc3-{memory}-convnet")
    task = walk.grown(1)
    train, held_out = walk.method.split(task)
    assert torch.bincount(held_out.labels).tolist() == [expected] * 7
    assert len(train) + len(held_out) == len(task.train) + len(walk.method.memory)
    assert not rows(train) & rows(held_out)
    assert set(train.labels.tolist()) == set(range(7))


def test_every_task_draws_its_own_reproducible_split(start: Any) -> None:
    walk = start("bic")
    task = walk.grown(1)
    assert rows(walk.method.split(task)[1]) == rows(walk.method.split(task)[1])
    first = walk.method.split(task)[1].of_classes(4, 7)
    list(walk.phases(task))
    walk.method.remember(task)
    walk.method.finish_task()
    walk.method.grow(walk.task(2))
    assert not rows(walk.method.split(walk.task(2))[1]) >= rows(first)


def test_one_exemplar_a_class_is_refused_at_submission() -> None:
    recipe = BY_NAME["bic"].from_preset("small")
    check(recipe, Track.from_slug("digits-b0-inc2-m20-convnet"))
    with pytest.raises(
        InvalidSpec,
        match=r"BiC needs at least 2 exemplar\(s\) of each of the 10 classes of digits; a budget of 19",
    ) as refused:
        check(recipe, Track.from_slug("digits-b0-inc2-m19-convnet"))
    assert refused.value.field == ("track", "memory", "amount")


def test_stage_two_changes_the_newest_pair_and_nothing_else(start: Any, differing: Any) -> None:
    walk = start("bic")
    task = walk.grown(1)
    phases = walk.phases(task)
    next(phases)
    second = next(phases)
    assert second.name == "correct bias"
    assert [parameter.shape for parameter in second.model.parameters()] == [(), ()]
    before = walk.state()
    assert next(phases, None) is None
    assert differing(before, walk.state()) == {"net.head.corrections.1.alpha", "net.head.corrections.1.beta"}


def test_preset_pycil_corrects_probabilities_and_moves_batch_norm_statistics(
    start: Any, differing: Any
) -> None:
    walk = start("bic", correction_input="probabilities", correction_mode="training", shift_penalty=0.0)
    task = walk.grown(1)
    phases = walk.phases(task)
    next(phases)
    second = next(phases)
    batch = walk.batch(task)
    losses = second.loss(batch, walk.step(task))
    walk.method.net.eval()
    probabilities = walk.method.net(batch.x).logits.softmax(dim=1)
    assert losses.keys() == {"classification"}
    assert second.loss(batch, walk.step(task))["classification"].item() == pytest.approx(
        F.cross_entropy(probabilities, batch.y).item(), rel=1e-5
    )
    before = walk.state()
    assert next(phases, None) is None
    changed = differing(before, walk.state()) - {
        f"net.head.corrections.1.{name}" for name in ("alpha", "beta")
    }
    assert changed
    assert all(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in changed)


def test_stage_one_leaves_every_pair_alone(start: Any) -> None:
    walk = start("bic")
    walk.finish(0)
    walk.finish(1)
    task = walk.task(2)
    walk.method.grow(task)
    pairs = {name: value for name, value in walk.state().items() if name.startswith("net.head.corrections")}
    phases = walk.phases(task)
    next(phases)
    next(phases)
    after = walk.state()
    assert len(pairs) == 6
    assert all(torch.equal(after[name], value) for name, value in pairs.items())


def test_every_task_adds_a_pair_and_the_earlier_ones_stay(start: Any) -> None:
    walk = start("bic")
    pairs = []
    for index in range(3):
        corrections = walk.finish(index).net.head.corrections
        pairs.append([(pair.alpha.item(), pair.beta.item()) for pair in corrections])
        assert not any(parameter.requires_grad for parameter in corrections.parameters())
    assert pairs[0] == [(1.0, 0.0)]
    assert pairs[1][:1] == pairs[0]
    assert pairs[2][:2] == pairs[1]
    assert pairs[1][1] != (1.0, 0.0)
    assert walk.method.diagnostics == {"alpha": pairs[2][2][0], "beta": pairs[2][2][1]}


def test_the_correction_is_fitted_with_one_softmax_and_a_penalty_on_the_shift(start: Any) -> None:
    walk = start("bic")
    task = walk.grown(1)
    head, batch = walk.method.net.head, walk.batch(task)
    walk.method.net.eval()
    head.newest.alpha.fill_(0.7)
    head.newest.beta.fill_(-2.0)
    raw = head.linear(walk.method.net.features(batch.x))
    corrected = torch.cat([raw[:, :4], 0.7 * raw[:, 4:] - 2], dim=1)
    losses = walk.method.correction_losses(batch, walk.step(task))
    assert losses["classification"].item() == pytest.approx(
        F.cross_entropy(corrected, batch.y).item(), rel=1e-5
    )
    assert losses["shift"].item() == pytest.approx(0.1 * 4 / 2)


def test_the_correction_reaches_no_other_gradient(start: Any) -> None:
    walk = start("bic")
    task = walk.grown(1)
    walk.method.net.head.newest.requires_grad_(True)
    walk.method.net.zero_grad()
    torch.stack(
        list(walk.method.correction_losses(walk.batch(task), walk.step(task)).values())
    ).sum().backward()
    reached = {name for name, parameter in walk.method.net.named_parameters() if parameter.grad is not None}
    assert reached == {"head.corrections.1.alpha", "head.corrections.1.beta"}


def test_the_teacher_answers_with_corrected_logits(start: Any) -> None:
    walk = start("bic")
    task = walk.grown(2)
    x = walk.batch(task).x
    head = walk.method.teacher.head
    raw = head.linear(walk.method.teacher.features(x))
    pair = head.corrections[1]
    expected = torch.cat([raw[:, :4], pair.alpha * raw[:, 4:7] + pair.beta], dim=1)
    assert pair.alpha != 1
    assert torch.allclose(walk.method.old_logits(x), expected, atol=1e-5)


def test_stage_one_weighs_old_and_new_by_their_classes(start: Any) -> None:
    walk = start("bic")
    task = walk.grown(1)
    batch = walk.batch(task)
    walk.method.net.eval()
    logits = walk.method.net(batch.x).logits
    losses = walk.method.losses(batch, walk.step(task))
    assert losses["classification"].item() == pytest.approx(
        (1 - 4 / 7) * F.cross_entropy(logits, batch.y).item(), rel=1e-5
    )
    assert losses.keys() == {"classification", "distillation"}
