"""DS-AL: ACIL and a second regression on its residual."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.engine.footprint import measure
from cil_core.spec.recipes import BY_NAME

SMALL = {"expansion": 120}


def finished(start: Any, name: str, **changes: Any) -> Any:
    walk = start(name, **SMALL, **changes).with_weights()
    for index in range(3):
        walk.finish(index)
    return walk


def test_the_main_stream_is_acil_bit_for_bit(start: Any) -> None:
    ours, theirs = (finished(start, name, ridge=0.1).method.net.head for name in ("ds-al", "acil"))
    assert torch.equal(ours.projection, theirs.projection)
    assert torch.equal(ours.weight, theirs.weight)


def test_without_compensation_predictions_are_those_of_acil(start: Any) -> None:
    ours, theirs = finished(start, "ds-al", compensation=0.0), finished(start, "acil")
    features = ours.method.raw_features(ours.task(2).train)
    assert torch.equal(ours.method.net.head(features), theirs.method.net.head(features))


def test_two_passes_do_not_depend_on_the_batch_size_and_running_residuals_do(start: Any) -> None:
    def compensation(passes: str, batch: int) -> torch.Tensor:
        walk = finished(start, "ds-al", passes=passes, analytic_batch=batch)
        weight: torch.Tensor = walk.method.net.head.compensation.weight
        return weight

    assert torch.allclose(compensation("two", 50), compensation("two", 4096), atol=1e-9)
    one, other = compensation("running", 50), compensation("running", 4096)
    assert (one - other).abs().max() > 0.05 * other.abs().max()


def test_the_compensation_of_old_classes_learns_nothing_from_new_images(start: Any) -> None:
    """Its residual is cleared, so the targets of old columns are zero in the joint regression."""
    walk = start("ds-al", **SMALL).with_weights()
    method = walk.finish(0)
    features = [method.raw_features(walk.task(index).train) for index in (0, 1)]
    x = (torch.cat(features).double() @ method.net.head.projection.T).tanh()
    first = x[: len(features[0])]
    old = method.net.head.compensation.weight[:4]
    identity = torch.eye(120, dtype=torch.float64)
    targets = (first.T @ first + 0.1 * identity) @ old.T  # Xᵀ Y of task 1, from its solution
    weight = walk.finish(1).net.head.compensation.weight
    expected = torch.linalg.solve(x.T @ x + 0.1 * identity, targets).T
    assert torch.allclose(weight[:4], expected, atol=1e-8)


def test_only_the_first_task_trains_the_backbone(start: Any) -> None:
    walk = start("ds-al", **SMALL)
    assert [phase.name for phase in walk.method.learn(walk.task(0))] == ["fit"]
    assert list(walk.method.learn(walk.task(1))) == []
    assert list(walk.with_weights().method.learn(walk.task(0))) == []


def test_both_streams_are_charged(start: Any) -> None:
    method = start("ds-al", **SMALL).with_weights().finish(0)
    backbone = sum(
        value.numel() * value.element_size() for value in method.net.backbone.state_dict().values()
    )
    assert measure(method).kept_bytes == backbone + 8 * (120 * 64 + 2 * (120 * 120 + 120 * 4))


@pytest.mark.parametrize(("preset", "passes"), [("pycil", "running"), ("paper", "running")])
def test_presets_of_public_codes_take_running_residuals(preset: str, passes: str) -> None:
    assert BY_NAME["ds-al"].published().passes == "two"  # type: ignore[attr-defined]
    assert BY_NAME["ds-al"].from_preset(preset).passes == passes  # type: ignore[attr-defined]
