"""Checks of a recipe on a track before it runs: names, sizes, memory, image counts and class orders."""

from __future__ import annotations

import pytest

from cil_core.spec.catalog import BACKBONES, DATASETS, DatasetCard
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.validation import check, resolved

FEW = DATASETS["digits"].model_copy(
    update={
        "name": "folder:few",
        "classes": 6,
        "class_names": tuple("abcdef"),
        "train_per_class": (17, 16, 1, 2, 40, 3),
        "test_per_class": (2,) * 6,
    }
)
UNKNOWN = FEW.model_copy(update={"class_names": None, "train_per_class": None, "test_per_class": None})


def checked(method: str, slug: str, card: DatasetCard = FEW) -> None:
    check(BY_NAME[method].from_preset("small"), Track.from_slug(slug), {card.name: card})


def test_bic_needs_two_images_per_class() -> None:
    with pytest.raises(
        InvalidSpec, match=r"BiC needs at least 2 .* class 2 \(c\) of folder:few has 1"
    ) as error:
        checked("bic", "folder:few-b2-inc2-m18-convnet")
    assert error.value.field == ("track", "dataset")
    checked("finetune", "folder:few-b2-inc2-m18-convnet")
    checked("bic", "folder:few-b2-inc2-m18-convnet", UNKNOWN)


def test_a_holdout_leaves_every_class_images_to_train_and_test_on() -> None:
    with pytest.raises(
        InvalidSpec, match=r"holding out 10 % of the 1 .* class 2 \(c\) .* no image to test on"
    ) as error:
        checked("finetune", "folder:few-b2-inc2-m18-convnet-holdout10")
    assert error.value.field == ("track", "holdout")
    with pytest.raises(
        InvalidSpec, match=r"holding out 1 % of the 20 .* class 0 of flowers102 leaves no image to test on"
    ):
        check(
            BY_NAME["finetune"].from_preset("small"),
            Track.from_slug("flowers102-b2-inc2-m2000-convnet-holdout1"),
        )
    checked("finetune", "folder:few-b2-inc2-m18-convnet-holdout10", UNKNOWN)


def test_images_that_are_held_out_are_not_trained_on() -> None:
    pairs = FEW.model_copy(update={"train_per_class": (2,) * 6})
    with pytest.raises(InvalidSpec, match=r"BiC needs at least 2 .* has 1"):
        checked("bic", "folder:few-b2-inc2-m18-convnet-holdout50", pairs)
    checked("finetune", "folder:few-b2-inc2-m18-convnet-holdout50", pairs)


def ordered(*order: int | str) -> Track:
    track = Track.from_slug("folder:few-b2-inc2-m18-convnet").model_dump()
    return Track.model_validate({**track, "protocol": {**track["protocol"], "class_order": order}})


def test_names_and_numbers_of_one_order_have_one_hash() -> None:
    numbers = ordered(5, 4, 3, 2, 1, 0)
    assert resolved(numbers, {FEW.name: FEW}) == numbers
    for track in (ordered(*"fedcba"), ordered("f", 4, "d", 2, "b", 0)):
        assert resolved(track, {FEW.name: FEW}).digest() == numbers.digest()


@pytest.mark.parametrize(
    ("order", "card", "complaint"),
    [
        ("fedcbx", FEW, "'x' is no class of folder:few; its classes are a, b, c, d, e, f"),
        ("fed", FEW, "must name each of the 6 classes of folder:few once"),
        (["f", 5, "d", "c", "b", "a"], FEW, "must name each of the 6 classes of folder:few once"),
        ("fedcba", UNKNOWN, "the class names of folder:few are not known here; give the numbers 0 … 5"),
    ],
)
def test_an_order_that_names_no_class_is_refused(
    order: list[int | str], card: DatasetCard, complaint: str
) -> None:
    with pytest.raises(InvalidSpec, match=complaint) as error:
        resolved(ordered(*order), {card.name: card})
    assert error.value.field == ("track", "protocol", "class_order")


@pytest.mark.parametrize("name", [name for name, card in DATASETS.items() if card.train_per_class])
def test_counts_of_built_in_datasets_add_up(name: str) -> None:
    card = DATASETS[name]
    assert (len(card.class_rows), sum(card.train_per_class or ())) == (card.classes, card.train_images)
    assert card.test_per_class is None or sum(card.test_per_class) == card.test_images


def refusal(method: str, slug: str) -> InvalidSpec:
    with pytest.raises(InvalidSpec) as refused:
        check(BY_NAME[method].model_validate({}), Track.from_slug(slug))
    return refused.value


@pytest.mark.parametrize(
    ("method", "slug", "says", "field"),
    [
        (
            "finetune",
            "digit-b0-inc2-m0-convnet",
            "unknown dataset 'digit'; known: cars196, cifar10, ",
            ("track", "dataset"),
        ),
        (
            "finetune",
            "digits-b0-inc2-m0-convnot",
            "unknown backbone 'convnot'; known: convnet, ",
            ("track", "backbone"),
        ),
        (
            "finetune",
            "digits-b11-inc2-m0-convnet",
            "the first task has 11 classes; digits has only 10",
            ("track", "protocol", "first"),
        ),
        (
            "finetune",
            "digits-b6-inc5-m0-convnet",
            "after 6 classes digits has 4 left, fewer than one increment of 5",
            ("track", "protocol", "increment"),
        ),
        (
            "finetune",
            "digits-b0-inc2-m0-resnet18",
            "resnet18 needs images of at least 16 pixels; digits has 8",
            ("track", "backbone"),
        ),
        (
            "replay",
            "digits-b0-inc2-m9-convnet",
            "at least 1 exemplar(s) of each of the 10 classes of digits; a budget of 9 (total) leaves 0",
            ("track", "memory", "amount"),
        ),
        (
            "replay",
            "digits-b0-inc2-m639b-convnet",
            "a budget of 639 (bytes) leaves 0",
            ("track", "memory", "amount"),
        ),
        (
            "icarl",
            "digits-b0-inc2-m0-convnet",
            "a budget of 0 (none) leaves 0",
            ("track", "memory", "amount"),
        ),
    ],
)
def test_what_cannot_be_run_is_refused_at_its_place(
    method: str, slug: str, says: str, field: tuple[str, ...]
) -> None:
    error = refusal(method, slug)
    assert says in str(error)
    assert error.field == field


def test_an_order_of_the_wrong_length_is_refused_at_its_place() -> None:
    track = Track.from_slug("digits-b0-inc2-m0-convnet")
    track = track.model_copy(
        update={"protocol": track.protocol.model_copy(update={"class_order": (1, 0, 2)})}
    )
    with pytest.raises(InvalidSpec, match="the class order names 3 classes; digits has 10"):
        check(BY_NAME["finetune"].model_validate({}), track)


def test_exactly_enough_memory_is_enough() -> None:
    for slug in (
        "digits-b0-inc2-m10-convnet",
        "digits-b0-inc2-m640b-convnet",
        "digits-b0-inc2-m1pc-convnet",
        "digits-b8-inc2-m10-convnet",
    ):
        check(BY_NAME["replay"].model_validate({}), Track.from_slug(slug))


def test_a_method_without_memory_runs_on_a_track_that_has_some() -> None:
    check(BY_NAME["finetune"].model_validate({}), Track.from_slug("digits-b0-inc2-m50-convnet"))


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_has_a_backbone_that_takes_it(dataset: str) -> None:
    fitting = [name for name, card in BACKBONES.items() if card.min_size <= DATASETS[dataset].size]
    assert {"convnet", "resnet32"} <= set(fitting)
