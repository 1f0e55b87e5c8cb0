"""Tracks: slugs, hashes, and the tracks that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from cil_core.spec.jobs import MemoryBudget, Track
from tests.cil_core.spec.strategies import tracks

DIGITS = "digits-b0-inc2-m50-convnet"


@given(tracks)
def test_a_slug_names_its_track(track: Track) -> None:
    if isinstance(track.protocol.class_order, int):
        assert Track.from_slug(track.slug) == track
    else:
        with pytest.raises(ValueError, match="is not a track slug"):
            Track.from_slug(track.slug)


def test_the_largest_budget_has_a_slug_that_is_read_back() -> None:
    track = Track.from_slug(DIGITS).model_copy(update={"memory": MemoryBudget(kind="total", amount=10**15)})
    assert Track.from_slug(track.slug) == track


@given(tracks, tracks)
def test_different_tracks_have_different_slugs(one: Track, other: Track) -> None:
    assert (one == other) == (one.slug == other.slug)


@pytest.mark.parametrize(
    ("slug", "first", "increment", "kind", "amount"),
    [
        ("cifar100-b0-inc10-m2000-resnet32", 10, 10, "total", 2000),
        ("cifar100-b50-inc5-m20pc-resnet18", 50, 5, "per_class", 20),
        ("tiny_imagenet-b100-inc20-m0-resnet18", 100, 20, "none", 0),
        ("folder:my-pets-b0-inc2-m6144000b-convnet", 2, 2, "bytes", 6_144_000),
    ],
)
def test_published_protocols_are_read_from_their_slugs(
    slug: str, first: int, increment: int, kind: str, amount: int
) -> None:
    track = Track.from_slug(slug)
    assert (track.protocol.first, track.protocol.increment, track.memory.kind, track.memory.amount) == (
        first,
        increment,
        kind,
        amount,
    )
    assert (track.protocol.class_order, track.holdout) == (1993, 0)
    assert track.slug == slug


def test_a_slug_says_what_departs_from_the_custom() -> None:
    track = Track.from_slug("digits-b0-inc2-m50-convnet-order7-holdout10")
    assert (track.protocol.class_order, track.holdout) == (7, 10)
    assert track.slug == "digits-b0-inc2-m50-convnet-order7-holdout10"


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "digits",
        "digits-b0-inc2-convnet",
        "digits-b0-inc2-m50-",
        "Digits-b0-inc2-m50-convnet",
        f"{DIGITS}\n",
        f" {DIGITS}",
        "digits-b0-inc2-m50-convnet-order",
    ],
)
def test_what_is_no_slug_is_refused_with_an_example(slug: str) -> None:
    with pytest.raises(ValueError, match="is not a track slug such as 'cifar100-b0-inc10-m2000-resnet32'"):
        Track.from_slug(slug)


@pytest.mark.parametrize(
    "slug",
    [
        "digits-b0-inc1-m50-convnet",
        "digits-b1-inc2-m50-convnet",
        "digits-b0-inc2-m0pc-convnet",
        "digits-b0-inc2-m50-convnet-holdout51",
    ],
)
def test_a_slug_of_impossible_numbers_is_refused(slug: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — says which of several fields
        Track.from_slug(slug)


def test_precision_is_part_of_a_track_and_of_its_slug() -> None:
    track = Track.from_slug("digits-b0-inc2-m50-convnet-holdout20-bf16")
    assert (track.precision, track.holdout) == ("bf16", 20)
    assert track.slug == "digits-b0-inc2-m50-convnet-holdout20-bf16"
    assert Track.from_slug("digits-b0-inc2-m50-convnet").precision == "fp32"
    with pytest.raises(ValidationError, match="fp16"):
        Track.model_validate({**track.model_dump(), "precision": "fp16"})


@given(tracks)
def test_a_track_comes_back_from_its_json(track: Track) -> None:
    assert Track.model_validate_json(track.model_dump_json()) == track
    assert Track.model_validate_json(track.canonical_json()).digest() == track.digest()


def test_the_hash_of_a_track_is_the_same_everywhere_and_for_ever() -> None:
    assert (
        Track.from_slug("cifar100-b0-inc10-m2000-resnet32").digest()
        == "2ea2052c60a158e2d4dbf58ebc61eaed4654a3a1a2aeb7c508b5a5216d01ed55"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "../etc"},
        {"dataset": "Digits"},
        {"dataset": "x" * 81},
        {"backbone": "a-b"},
        {"holdout": 51},
        {"extra": 1},
    ],
)
def test_a_bad_track_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Track.model_validate(Track.from_slug(DIGITS).model_dump() | change)
