"""Weights cards, the pixels they state, and tracks that name weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cil_core.spec.catalog import BACKBONES, DATASETS, WEIGHTS, WeightsCard
from cil_core.spec.errors import DataError, InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.pixels import CODA, UNIT, Pixels, card_pixels
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.validation import check, check_track
from cil_core.spec.weights import RESERVED, operator_cards, read_card

SLUG = "cifar224-b0-inc10-m0-vit_b16-augreg_in21k"
TABLE = {
    "vit_b16-augreg_in21k": (85_798_656, 768, "unit"),
    "vit_b16-augreg_in21k_in1k": (85_798_656, 768, "unit"),
    "vit_b16-augreg_in1k": (85_798_656, 768, "unit"),
    "vit_b16-dino": (85_798_656, 768, "card"),
    "vit_b16-mocov3": (85_798_656, 768, "card"),
    "vit_b14-dinov2": (85_724_928, 768, "card"),
    "vit_b16-clip_openai": (85_799_424, 768, "card"),
    "vit_b16-clip_laion2b": (85_799_424, 768, "card"),
    "vit_s16-augreg_in21k": (21_665_664, 384, "unit"),
    "vit_s16-dino": (21_665_664, 384, "card"),
    "vit_ti16-augreg_in21k": (5_524_416, 192, "unit"),
    "vit_s14-dinov2": (21_628_800, 384, "card"),
    "efficientnet_lite0-in1k": (3_371_008, 1280, "card"),
}


def own_card(**changes: Any) -> WeightsCard:
    return WeightsCard.model_validate(WEIGHTS["vit_b16-dino"].model_dump() | {"name": "mine"} | changes)


@pytest.mark.parametrize("key", TABLE)
def test_a_shipped_card_states_its_network_and_pixels(key: str) -> None:
    card = WEIGHTS[key]
    assert card.pixels is not None
    assert (card.parameters, card.feature_dim, card.pixels.name) == TABLE[key]


@pytest.mark.parametrize("card", WEIGHTS.values(), ids=lambda card: card.key)
def test_a_shipped_card_is_offered_by_its_backbone(card: WeightsCard) -> None:
    assert card.name in BACKBONES[card.backbone].pretrained
    assert card.feature_dim == BACKBONES[card.backbone].feature_dim
    assert "-" not in card.name


def test_two_preparations_of_one_file_are_two_cards() -> None:
    plain, normalised = WEIGHTS["vit_b16-augreg_in21k"], WEIGHTS["vit_b16-augreg_in21k_norm"]
    assert (plain.file, plain.url) == (normalised.file, normalised.url)
    assert plain.pixels != normalised.pixels


def test_a_slug_names_weights_and_precision() -> None:
    track = Track.from_slug(f"{SLUG}-bf16")
    assert (track.backbone, track.pretrained, track.precision) == ("vit_b16", "augreg_in21k", "bf16")
    assert track.weights_key == "vit_b16-augreg_in21k"
    assert track.slug == f"{SLUG}-bf16"


def test_the_hash_of_the_older_pretrained_track_is_unchanged() -> None:
    track = Track.from_slug("imagenet100-b0-inc10-m0-vit_b16-imagenet1k")
    assert track.digest() == "942c39cd35598b84fc48dd7e4c77c8a57f0a2bc3b97a40611fe06219e19dc6f3"


@pytest.mark.parametrize("suffix", ["bf16", "order7", "holdout10", "order7-holdout10-bf16"])
def test_no_other_part_of_a_slug_is_taken_for_weights(suffix: str) -> None:
    assert Track.from_slug(f"digits-b0-inc2-m0-convnet-{suffix}").pretrained == "none"


@pytest.mark.parametrize(
    "word", ["bf16", "fp32", "none", "order", "order7", "orderx", "holdout", "holdout10"]
)
def test_words_of_a_slug_name_no_weights(word: str) -> None:
    assert RESERVED.fullmatch(word)
    with pytest.raises(ValidationError, match="none of the words of a slug"):
        own_card(name=word)
    if word != "none":
        with pytest.raises(ValidationError, match="names no weights"):
            Track.model_validate(Track.from_slug(SLUG).model_dump() | {"pretrained": word})


@pytest.mark.parametrize("name", ["a-b", "A", "1k", "_x", ""])
def test_a_name_of_weights_fits_a_slug(name: str) -> None:
    with pytest.raises(ValidationError):
        own_card(name=name)


@pytest.mark.parametrize("name", ["fp32x", "nonesuch", "bf16_a"])
def test_a_longer_word_may_name_weights(name: str) -> None:
    slug = f"digits-b0-inc2-m0-convnet-{own_card(name=name).name}"
    assert Track.from_slug(slug).pretrained == name


@pytest.mark.parametrize("dataset", ["cifar100", "cifar224", "tiny_imagenet", "imagenet100", "digits"])
def test_weights_take_a_dataset_of_any_size(dataset: str) -> None:
    track = Track.from_slug(f"{dataset}-b0-inc2-m0-vit_b16-augreg_in21k")
    prepared, _ = check_track(track)
    stored = DATASETS[dataset].stored or DATASETS[dataset].size
    assert (prepared.size, prepared.stored, prepared.pixels) == (224, stored, UNIT)
    assert prepared.shape == DATASETS[dataset].shape


def test_an_exemplar_of_a_small_image_costs_its_stored_bytes() -> None:
    prepared, _ = check_track(Track.from_slug("cifar100-b0-inc10-m2000-vit_b16-augreg_in21k"))
    assert prepared.image_bytes == 32 * 32 * 3


@pytest.mark.parametrize(
    ("slug", "says"),
    [
        ("cifar100-b0-inc10-m0-vit_b16-nonesuch", "vit_b16 has no weights 'nonesuch'"),
        ("cifar100-b0-inc10-m0-vit_s16-clip_openai", "vit_s16 has no weights 'clip_openai'"),
        (
            "cifar100-b0-inc10-m0-vit_s16",
            "vit_s16 runs with published weights only: augreg_in21k, dino",
        ),
        ("cifar224-b0-inc10-m0-resnet32", "cifar224 are stored at 32 pixels"),
        ("digits-b0-inc2-m0-vit_b16-imagenet1k", "take 3 channels; digits has 1"),
    ],
)
def test_a_track_that_does_not_fit_its_weights_is_refused(slug: str, says: str) -> None:
    with pytest.raises(InvalidSpec, match=re.escape(says)):
        check_track(Track.from_slug(slug))


def test_methods_state_whether_they_need_weights() -> None:
    recipe = BY_NAME["simplecil"].published()
    needy = type("Needy", (type(recipe),), {"pretrained": "required", "__annotations__": {}})
    with pytest.raises(InvalidSpec, match="starts from pre-trained weights; the track names none"):
        check(needy.model_validate({}), Track.from_slug("cifar100-b0-inc10-m0-resnet32"))
    loner = type("Loner", (type(recipe),), {"pretrained": "refused", "__annotations__": {}})
    with pytest.raises(InvalidSpec, match="the track starts from augreg_in21k"):
        check(loner.model_validate({}), Track.from_slug(SLUG))


def test_overlap_is_known_by_dataset() -> None:
    assert WEIGHTS["vit_b16-imagenet1k"].overlap_with("imagenet100") == "images"
    assert WEIGHTS["vit_b16-dino"].overlap_with("imagenet100") == "images"
    assert WEIGHTS["vit_b16-augreg_in21k"].overlap_with("cifar224") == "classes"
    assert WEIGHTS["vit_b16-clip_openai"].overlap_with("cifar224") == "unknown"
    assert WEIGHTS["vit_b16-dino"].overlap_with("digits") is None


def test_card_pixels_crop_the_stated_share() -> None:
    assert card_pixels((0.5,) * 3, (0.5,) * 3).resize == 248
    assert card_pixels((0.5,) * 3, (0.5,) * 3, 0.875).resize == 256
    assert card_pixels((0.5,) * 3, (0.5,) * 3, 1.0).resize == 224


def test_small_images_may_have_a_resize_of_their_own() -> None:
    assert (CODA.shorter_side(32), CODA.shorter_side(256)) == (224, 256)
    assert (UNIT.shorter_side(32), UNIT.shorter_side(256)) == (256, 256)


@pytest.mark.parametrize(
    "fields",
    [
        {"resize": 200},
        {"enlarge": 100},
        {"mean": (0.5,)},
        {"mean": (0.5,), "std": (0.0,)},
        {"mean": (0.5,), "std": (0.5, 0.5)},
        {"train_area": (0.5, 1.5)},
        {"train_ratio": (0.0, 1.0)},
        {"flip": 2.0},
    ],
)
def test_impossible_pixels_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Pixels(name="odd", **fields)


def test_an_operators_card_is_found_by_its_key(tmp_path: Path) -> None:
    card = own_card()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{card.key}.json").write_text(card.model_dump_json())
    found = operator_cards(tmp_path, WEIGHTS)
    assert found == {"vit_b16-mine": card}
    track = Track.from_slug("cifar100-b0-inc10-m0-vit_b16-mine")
    assert check_track(track, weights=WEIGHTS | found)[0].pixels == card.pixels


def test_a_damaged_card_names_every_fault(tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    file.write_text('{"name": "bf16", "title": "x"}')
    with pytest.raises(DataError, match=r"no weights card: name: .*; backbone: Field required"):
        read_card(file)
    with pytest.raises(DataError, match=r"missing\.json cannot be read"):
        read_card(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("stem", "changes", "says"),
    [
        ("other", {}, r"rename it to vit_b16-mine\.json"),
        ("vit_b16-dino", {"name": "dino"}, "is a shipped card"),
    ],
)
def test_an_operators_card_has_a_key_and_a_file_of_its_own(
    tmp_path: Path, stem: str, changes: dict[str, Any], says: str
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{stem}.json").write_text(own_card(**changes).model_dump_json())
    with pytest.raises(DataError, match=says):
        operator_cards(tmp_path, WEIGHTS)


@pytest.mark.parametrize(
    "changes", [{"format": "npz"}, {"sha256": "xyz"}, {"file": "../x.pth"}, {"url": "file:x"}]
)
def test_a_card_of_impossible_values_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        own_card(**changes)
