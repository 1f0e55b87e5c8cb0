"""Learning-rate curves and the schedules that are refused."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cil_core.spec.schedule import Schedule


def test_milestones_multiply_the_rate_from_their_epoch_on() -> None:
    schedule = Schedule(epochs=200, lr=0.1, milestones=(60, 120, 170))
    assert [schedule.lr_at(epoch) for epoch in (0, 59, 60, 119, 120, 170, 199)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 1e-3, 1e-4, 1e-4]
    )


def test_a_gamma_of_its_own_is_used() -> None:
    assert Schedule(epochs=70, lr=2.0, milestones=(49, 63), gamma=0.2).lr_at(63) == pytest.approx(0.08)


def test_a_cosine_falls_from_the_full_rate_towards_nothing() -> None:
    schedule = Schedule(epochs=100, lr=0.1, curve="cosine")
    assert schedule.lr_at(0) == 0.1
    assert schedule.lr_at(50) == pytest.approx(0.05)
    assert schedule.lr_at(99) == pytest.approx(0.05 * (1 + math.cos(math.pi * 0.99)))


def test_a_constant_rate_stays() -> None:
    assert {Schedule(epochs=9, lr=0.3, curve="constant").lr_at(epoch) for epoch in range(9)} == {0.3}


def test_a_warm_up_reaches_the_full_rate_in_its_last_epoch_in_equal_steps() -> None:
    schedule = Schedule(epochs=170, lr=0.1, milestones=(100, 120), warmup_epochs=10)
    rates = [schedule.lr_at(epoch) for epoch in range(11)]
    assert rates == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.1])


def test_a_cosine_falls_to_the_smallest_rate_as_that_of_pytorch_does() -> None:
    schedule = Schedule(epochs=20, lr=0.1, curve="cosine", min_lr=0.02)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.02)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert [schedule.lr_at(epoch) for epoch in range(20)] == pytest.approx(rates)


def test_restarts_double_in_length_as_those_of_pytorch_do() -> None:
    schedule = Schedule(epochs=31, lr=0.05, curve="cosine_restarts", min_lr=5e-4)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.05)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=1, T_mult=2, eta_min=5e-4)
    rates = []
    for _ in range(31):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert [schedule.lr_at(epoch) for epoch in range(31)] == pytest.approx(rates)


def test_restarts_begin_after_a_warm_up_at_its_own_rate() -> None:
    schedule = Schedule(
        epochs=8, lr=0.05, curve="cosine_restarts", restart_epochs=2, warmup_epochs=1, warmup_lr=0.005
    )
    rates = [schedule.lr_at(epoch) for epoch in range(8)]
    falling = [0.05 * (1 + math.cos(math.pi * part)) / 2 for part in (0, 0.25, 0.5, 0.75)]
    assert rates == pytest.approx([0.005, 0.05, 0.025, *falling, 0.05])


def test_a_quarter_cosine_ends_at_one_sixty_fourth_of_the_rate() -> None:
    schedule = Schedule(epochs=20, lr=1.0, curve="quarter_cosine")
    assert [schedule.lr_at(epoch) for epoch in (0, 10, 19)] == pytest.approx([1.0, 0.6833, 0.0157], abs=5e-5)
    assert Schedule(epochs=1, lr=1.0, curve="quarter_cosine").lr_at(0) == 1.0


def test_options_that_came_later_leave_old_hashes_unchanged() -> None:
    assert set(Schedule(epochs=5).model_dump()) == {
        *("epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "curve", "milestones"),
        *("gamma", "warmup_epochs"),
    }
    assert Schedule(epochs=5, clip_norm=1.0).model_dump()["clip_norm"] == 1


def test_json_with_every_older_field_means_that_newer_options_are_off() -> None:
    clipped = Schedule(epochs=5, clip_norm=1.0)
    assert Schedule.model_validate(clipped.completed(Schedule(epochs=9).model_dump())) == Schedule(epochs=9)
    assert Schedule.model_validate(clipped.completed({"epochs": 9})) == Schedule(epochs=9, clip_norm=1.0)


@given(epochs=st.integers(1, 1000))
def test_a_shortened_schedule_keeps_its_shape(epochs: int) -> None:
    whole = Schedule(epochs=200, milestones=(60, 120, 170), warmup_epochs=10)
    short = whole.rescaled(epochs)
    assert short.epochs == epochs
    assert all(
        any(abs(milestone / epochs - place / 200) <= 1 / epochs for place in whole.milestones)
        for milestone in short.milestones
    )
    assert len(short.milestones) == 3 or epochs < 10
    assert (
        short.model_copy(update={"epochs": 200, "milestones": whole.milestones, "warmup_epochs": 10}) == whole
    )


def test_a_shortened_schedule_keeps_restarts_and_the_rate_of_its_warm_up() -> None:
    whole = Schedule(
        epochs=60, curve="cosine_restarts", restart_epochs=4, warmup_epochs=4, warmup_lr=0.01, min_lr=1e-3
    )
    short = whole.rescaled(15)
    assert (short.restart_epochs, short.warmup_epochs, short.warmup_lr, short.min_lr) == (1, 1, 0.01, 1e-3)
    assert whole.rescaled(3).warmup_lr is None


def test_shortening_to_the_same_length_changes_nothing() -> None:
    schedule = Schedule(epochs=170, milestones=(80, 120))
    assert schedule.rescaled(170) == schedule


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"epochs": 10, "milestones": (5, 5)}, "rise strictly"),
        ({"epochs": 10, "milestones": (7, 3)}, "rise strictly"),
        ({"epochs": 10, "milestones": (0, 3)}, "start at 1 or later"),
        ({"epochs": 10, "milestones": (10,)}, "comes before the last epoch"),
        (
            {"epochs": 10, "milestones": (5,), "curve": "cosine"},
            r"milestones \[5\] belong to the curve 'multistep', not 'cosine'; \[\] for none",
        ),
        ({"epochs": 10, "warmup_epochs": 10}, "leave nothing of 10"),
        ({"epochs": 10, "lr": math.nan}, "finite"),
        ({"epochs": 10, "lr": math.inf}, "finite"),
        ({"epochs": 10, "lr": 0}, "greater than 0"),
        ({"epochs": 10, "momentum": 1.0}, "less than 1"),
        ({"epochs": 10, "batch_size": 0}, "greater than or equal to 1"),
        ({"epochs": 10, "optimizer": "lion"}, "'sgd', 'adam' or 'adamw'"),
        ({"epochs": 10, "min_lr": 0.01}, "belongs to the curves cosine and cosine_restarts, not 'multistep'"),
        ({"epochs": 10, "curve": "cosine", "lr": 0.1, "min_lr": 0.2}, r"min_lr 0\.2 is larger than lr 0\.1"),
        ({"epochs": 10, "curve": "cosine", "restart_epochs": 2}, "belongs to the curve 'cosine_restarts'"),
        ({"epochs": 10, "warmup_lr": 0.01}, "needs warmup_epochs of 1 or more"),
        ({"epochs": 10, "clip_norm": 0}, "greater than 0"),
        ({"epochs": 10, "nesterov": True}, "Extra inputs are not permitted"),
        ({"epochs": 10**9}, "less than or equal to 1000000"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Schedule.model_validate(fields)
