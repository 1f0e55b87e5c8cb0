"""Published results, against figures looked up in the paper's tables."""

from __future__ import annotations

import pytest

from cil_core.spec.jobs import Track
from cil_core.spec.presets import PRESETS
from cil_core.spec.recipes import BY_NAME
from store.leaderboard.literature import ExternalResult, published_results

B0_INC10 = "cifar100-b0-inc10-m2000-resnet32"


def row(slug: str, title: str) -> ExternalResult:
    return next(one for one in published_results(slug) if one.title == title)


def test_a_row_has_the_paper_s_figures_curve_and_citation() -> None:
    icarl = row(B0_INC10, "iCaRL")
    assert (icarl.average_accuracy, icarl.last_accuracy, icarl.forgetting) == (0.6442, 0.4952, 0.3348)
    assert icarl.curve is not None
    assert (len(icarl.curve), icarl.curve[0], icarl.curve[-1]) == (10, 0.908, 0.4952)
    assert icarl.note.endswith("The paper states 64.42; the mean of its printed curve is 64.57.")
    assert "One class order" in icarl.caveat
    assert "2302.03648" in icarl.source
    assert icarl.method == "icarl"


def test_without_a_stated_average_the_mean_of_the_curve_is_shown() -> None:
    joint = row("cifar100-b50-inc25-m2000-resnet32", "WA")
    assert joint.curve is not None
    assert joint.average_accuracy == pytest.approx(sum(joint.curve) / len(joint.curve), abs=1e-6)
    assert joint.last_accuracy == joint.curve[-1]


def test_without_a_curve_the_stated_figures_stand() -> None:
    icarl = row("cifar100-b0-inc20-m2000-resnet32", "iCaRL")
    assert (icarl.average_accuracy, icarl.last_accuracy, icarl.curve) == (0.67, 0.5423, None)


def test_its_der_is_the_common_re_implementation_and_a_network_of_another_kind_is_named() -> None:
    assert row(B0_INC10, "DER").method == "der-wa"
    assert row(B0_INC10, "RMM").method is None
    assert "vision transformer" in row(B0_INC10, "L2P").note


@pytest.mark.parametrize("split", ["b0-inc5", "b0-inc10", "b0-inc20", "b50-inc10", "b50-inc25"])
def test_every_row_fits_its_track(split: str) -> None:
    slug = f"cifar100-{split}-m2000-resnet32"
    tasks = len(Track.from_slug(slug).protocol.task_sizes(100))
    rows = published_results(slug)
    assert len(rows) >= 10
    assert [one.average_accuracy for one in rows] == sorted(
        (one.average_accuracy for one in rows), reverse=True
    )
    for one in rows:
        assert one.method is None or one.method in BY_NAME
        assert one.curve is None or len(one.curve) == tasks
        assert 0 < one.last_accuracy < one.average_accuracy < 1


@pytest.mark.parametrize("slug", [slug for slug in PRESETS if published_results(slug)])
def test_every_row_of_our_methods_names_the_recipe_and_the_classifier_it_compares_with(slug: str) -> None:
    for one in published_results(slug):
        if one.method is None:
            assert (one.preset, one.classifier, one.recipe) == (None, None, None)
        else:
            assert one.recipe is not None
            assert one.recipe.variant == one.preset
            assert one.classifier in BY_NAME[one.method].classifiers


def test_foster_s_figure_is_the_boosted_network_s() -> None:
    foster = row(B0_INC10, "FOSTER")
    assert (foster.preset, foster.classifier) == ("default", "boosted")
    assert "before compression" in foster.note


def test_memo_s_row_compares_with_a_fixed_trunk_on_b50_tracks() -> None:
    assert row(B0_INC10, "MEMO").preset == "survey"
    assert row("cifar100-b50-inc10-m2000-resnet32", "MEMO").preset == "survey-b50"


def test_nothing_is_reported_on_a_track_of_ours() -> None:
    assert published_results("digits-b0-inc2-m50-convnet") == ()


EXEMPLAR_FREE = "cifar100-b0-inc10-m0-resnet18"


def test_methods_without_exemplars_have_their_figures_and_their_augmentation() -> None:
    ldc = row(EXEMPLAR_FREE, "LDC")
    assert (ldc.average_accuracy, ldc.last_accuracy, ldc.forgetting, ldc.curve) == (0.595, 0.454, None, None)
    assert ldc.note == "Its code trains with AutoAugment."
    assert "Second-hand" in ldc.caveat
    assert [one.title for one in published_results(EXEMPLAR_FREE)] == [
        *("AdaGauss", "ADC", "LDC", "EFC", "PASS", "FeTrIL", "FeCAM")
    ]


def test_a_figure_compares_only_with_the_recipe_that_augments_as_its_source() -> None:
    compares = {one.title: one.recipe for one in published_results(EXEMPLAR_FREE)}
    assert {title for title, recipe in compares.items() if recipe} == {"ADC", "LDC"}
    assert compares["ADC"] == BY_NAME["drift"].from_preset("adc")
    assert compares["LDC"] == BY_NAME["drift"].published()
    for recipe in filter(None, compares.values()):
        assert getattr(recipe, "augmentation", None) == "autoaugment"


def test_figures_on_tiny_imagenet_compare_with_nothing() -> None:
    rows = published_results("tiny_imagenet-b0-inc20-m0-resnet18")
    assert len(rows) == 7
    assert all(one.recipe is None and one.note for one in rows)
