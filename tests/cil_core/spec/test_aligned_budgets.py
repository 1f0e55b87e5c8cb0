"""Memory-aligned budgets against the published table (CIFAR-100, ResNet-32, DER with 2000 exemplars)."""

import pytest
import torch

from cil_core.nets.backbones import build_backbone
from cil_core.spec.aligned_budgets import aligned_exemplars, effective_budget, final_parameters
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import MemoryBudget, Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.validation import check

PUBLISHED = {  # protocol: tasks, exemplars of a method with one backbone, of MEMO, megabytes (2^20) in all
    "b0-inc20": (5, 4_414, 2_583, 14.70),
    "b50-inc10": (6, 5_017, 2_729, 16.47),
    "b0-inc10": (10, 7_431, 3_312, 23.54),
    "b50-inc5": (11, 8_035, 3_458, 25.31),
    "b0-inc5": (20, 13_466, 4_771, 41.22),
}


def aligned(protocol: str) -> Track:
    return Track.from_slug(f"cifar100-{protocol}-m2000a-resnet32")


def exemplars(name: str, protocol: str) -> int:
    return effective_budget(BY_NAME[name].published(), aligned(protocol), DATASETS["cifar100"]).amount


@pytest.mark.parametrize("protocol", PUBLISHED)
def test_exemplars_are_those_of_the_published_table(protocol: str) -> None:
    _, single, memo, _ = PUBLISHED[protocol]
    assert [exemplars(name, protocol) for name in ("icarl", "wa", "foster")] == [single] * 3
    assert exemplars("memo", protocol) == memo
    assert exemplars("der", protocol) == exemplars("der-wa", protocol) == 2000


@pytest.mark.parametrize("protocol", PUBLISHED)
@pytest.mark.parametrize("name", ["icarl", "ucir", "memo", "der-wa"])
def test_every_method_takes_the_same_megabytes_to_within_an_image(name: str, protocol: str) -> None:
    recipe, (tasks, *_, megabytes) = BY_NAME[name].published(), PUBLISHED[protocol]
    parameters = final_parameters(recipe, tasks, BACKBONES[recipe.backbone_on("resnet32")], 3)
    total = exemplars(name, protocol) * 3072 + parameters * 4
    assert round(total / 2**20, 2) == megabytes
    assert 0 <= tasks * 463_504 * 4 + 2000 * 3072 - total < 3072


def test_the_quotient_is_rounded_down_once_and_not_for_every_task() -> None:
    assert aligned_exemplars(2000, 10, 463_504, 463_504, 3072) == 2000 + 5431
    assert 9 * (463_504 * 4 // 3072) == 5427


def test_a_cosine_backbone_counts_its_own_parameters() -> None:
    assert exemplars("ucir", "b0-inc10") == 7_428  # 7431.7 less 2752 · 4 / 3072


def test_grey_images_need_a_smaller_stem() -> None:
    own = {name: card for name, card in BACKBONES.items() if not card.only_pretrained}
    for name, card in own.items():
        built = build_backbone(name, 1, torch.Generator().manual_seed(0))
        assert sum(parameter.numel() for parameter in built.parameters()) == card.parameters_for(1)
        assert (
            sum(parameter.numel() for parameter in built.specialised.parameters())
            == card.last_stage_parameters
        )


def test_a_budget_that_is_not_aligned_is_the_methods_own() -> None:
    track = Track.from_slug("cifar100-b0-inc10-m2000-resnet32")
    assert effective_budget(BY_NAME["icarl"].published(), track, DATASETS["cifar100"]) is track.memory


def test_an_aligned_budget_has_no_quota_of_its_own() -> None:
    with pytest.raises(ValueError, match="once a method is known"):
        MemoryBudget(kind="aligned", amount=2000).quota(10, 3072)


def test_a_method_without_exemplars_has_nothing_to_align() -> None:
    with pytest.raises(InvalidSpec, match="LwF keeps no exemplars, so there is nothing to align"):
        check(BY_NAME["lwf"].published(), aligned("b0-inc10"))
    check(BY_NAME["joint"].published(), aligned("b0-inc10"))


def test_the_slug_of_an_aligned_track_is_read_back() -> None:
    track = aligned("b50-inc5")
    assert track.memory == MemoryBudget(kind="aligned", amount=2000)
    assert track.slug == "cifar100-b50-inc5-m2000a-resnet32"
    assert Track.from_slug(track.slug) == track
