"""Few-shot and long-tailed samples: names, counts, and their place in a track's identity."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.samples import ClassImages, FewShot, LongTail, sample_of
from cil_core.spec.validation import check
from cil_core.spec.weights import WeightsCard

PLAIN = "digits-b0-inc2-m50-convnet"


def long_tail(ratio: int, classes: int = 100, images: int = 500) -> list[int]:
    every = [ClassImages(number, position=0, base=True, images=images) for number in range(classes)]
    return [one.kept(LongTail(ratio), images, classes) for one in every]


def test_a_ratio_of_100_on_cifar_100_has_the_published_counts() -> None:
    counts = long_tail(100)
    assert counts[:5] == [500, 477, 455, 434, 415]
    assert (counts[49], counts[50]) == (51, 48)
    assert counts[-5:] == [6, 5, 5, 5, 5]
    assert sum(counts) == 10_847


@pytest.mark.parametrize(("ratio", "images"), [(10, 19_573), (20, 15_907), (50, 12_608)])
def test_other_ratios_have_the_published_totals(ratio: int, images: int) -> None:
    assert sum(long_tail(ratio)) == images


def test_an_ordered_sample_decreases_from_task_to_task() -> None:
    every = [ClassImages(99 - place, place, base=place < 10, images=500) for place in range(100)]
    counts = [one.kept(LongTail(100, ordered=True), 500, 100) for one in every]
    tasks = [sum(counts[start : start + 10]) for start in range(0, 100, 10)]
    assert tasks == [4088, 2565, 1609, 1008, 631, 394, 247, 152, 95, 58]


def test_a_class_keeps_at_least_one_image_and_at_most_all_it_has() -> None:
    assert ClassImages(9, 9, base=False, images=40).kept(LongTail(1000), 50, 10) == 1
    assert ClassImages(0, 0, base=True, images=40).kept(LongTail(10), 50, 10) == 40


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("none", None),
        ("shot5", FewShot(5)),
        ("shot10s1994", FewShot(10, 1994)),
        ("lt100", LongTail(100)),
        ("lt100o", LongTail(100, ordered=True)),
    ],
)
def test_a_name_says_which_images_are_kept(name: str, sample: FewShot | LongTail | None) -> None:
    assert sample_of(name) == sample


@pytest.mark.parametrize(
    "name", ["shot0", "shot", "lt1", "lt", "lt0o", "shot5o", "few5", "shot5s4294967296", ""]
)
def test_another_name_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ValidationError, match=r"shotK|4294967295"):
        Track.model_validate(Track.from_slug(PLAIN).model_dump() | {"sample": name})


@pytest.mark.parametrize("suffix", ["shot5", "shot5s7", "lt100", "lt20o", "order7-holdout10-lt5-bf16"])
def test_a_slug_is_read_back(suffix: str) -> None:
    slug = f"{PLAIN}-{suffix}"
    assert Track.from_slug(slug).slug == slug


def test_a_track_without_a_sample_keeps_its_hash() -> None:
    track = Track.from_slug(PLAIN)
    assert "sample" not in track.model_dump(mode="json")
    assert Track.from_slug(f"{PLAIN}-lt10").digest() != track.digest()


@pytest.mark.parametrize("name", ["shot5", "lt100", "lt100o"])
def test_no_weights_have_the_name_of_a_sample(name: str) -> None:
    with pytest.raises(ValidationError, match="words of a slug"):
        WeightsCard.model_validate({"name": name})


def test_more_shots_than_a_class_has_are_refused_at_submission() -> None:
    track = Track.from_slug("digits-b4-inc2-m0-convnet-shot200")
    with pytest.raises(
        InvalidSpec, match="shot200 needs 200 training images of every class; class 0"
    ) as refused:
        check(BY_NAME["finetune"](), track, DATASETS)
    assert refused.value.field == ("track", "sample")


def test_a_tail_too_thin_for_a_method_is_refused_at_submission() -> None:
    track = Track.from_slug("digits-b0-inc2-m50-convnet-lt1000")
    with pytest.raises(InvalidSpec, match=r"BiC needs at least \d+ training images per class; .* in lt1000"):
        check(BY_NAME["bic"](), track, DATASETS)
