"""Presets and suites: every one of them can be run, and says what papers say."""

from typing import Any

import numpy as np
import pytest

from cil_core.data.order import class_order
from cil_core.spec.catalog import DATASETS
from cil_core.spec.jobs import Track
from cil_core.spec.presets import PRESETS
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.schedule import Schedule
from cil_core.spec.suites import SUITES, SURVEYED
from cil_core.spec.validation import check


@pytest.mark.parametrize("slug", PRESETS)
def test_every_preset_can_be_run(slug: str) -> None:
    track = PRESETS[slug].track
    assert track.slug == slug
    assert track.protocol.class_order == 1993
    check(BY_NAME["simplecil" if track.memory.kind == "none" else "icarl"].published(), track)


def test_the_presets_of_the_literature_have_their_tasks() -> None:
    tasks = {
        slug: PRESETS[slug].track.protocol.task_sizes(DATASETS[PRESETS[slug].track.dataset].classes)
        for slug in PRESETS
    }
    assert tasks["cifar100-b0-inc10-m2000-resnet32"] == (10,) * 10
    assert tasks["cifar100-b50-inc2-m2000-resnet32"] == (50, *(2,) * 25)
    assert tasks["cifar100-b50-inc25-m2000-resnet32"] == (50, 25, 25)
    assert tasks["tiny_imagenet-b100-inc20-m2000-resnet18"] == (100, *(20,) * 5)
    assert tasks["cifar10-b0-inc2-m2000-resnet32"] == (2,) * 5


def test_presets_arrive_in_the_order_of_the_literature() -> None:
    order = class_order(PRESETS["cifar100-b0-inc10-m2000-resnet32"].track.protocol, 100)
    assert order[:10] == (68, 56, 78, 8, 23, 84, 90, 65, 74, 76)
    np.random.seed(1993)
    assert order == tuple(np.random.permutation(100).tolist())


@pytest.mark.parametrize("name", SUITES)
def test_every_job_of_a_suite_can_be_run(name: str) -> None:
    suite = SUITES[name]
    jobs = list(suite.jobs())
    assert len({job.digest() for job in jobs}) == len(jobs) == len(suite.tracks) * len(suite.recipes)
    assert sum(len(job.seeds) for job in jobs) == suite.runs
    for job in jobs:
        check(job.method, job.track)


def test_tuning_never_looks_at_the_test_set() -> None:
    for suite in SUITES.values():
        assert all(
            bool(Track.from_slug(slug).holdout) == suite.name.endswith("-tuning") for slug in suite.tracks
        )


def test_a_suite_runs_on_a_registered_copy_of_its_dataset() -> None:
    suite = SUITES["cifar10-small"].on("folder:cifar10")
    assert suite.tracks == ("folder:cifar10-b0-inc2-m500-resnet20",)
    assert {job.track.dataset for job in suite.jobs()} == {"folder:cifar10"}
    with pytest.raises(ValueError, match="dataset"):
        SUITES["cifar10-small"].on("../etc")


B0, B50 = "cifar100-b0-inc10-m2000-resnet32", "cifar100-b50-inc10-m2000-resnet32"
COSINE = Schedule(epochs=200, batch_size=128, lr=0.1, curve="cosine", weight_decay=5e-4)


def surveyed(track: str) -> dict[str, Any]:
    jobs = [job for job in SUITES["cifar100-survey"].jobs() if job.track.slug == track]
    return {job.method.name: job.method for job in jobs}


def test_the_survey_s_suite_has_its_thirteen_methods_and_joint_training() -> None:
    assert set(surveyed(B0)) == {*SURVEYED, "joint"}
    assert len(SURVEYED) == 13
    assert "der" not in SURVEYED  # the survey's DER has neither masks nor a second stage: der-wa


@pytest.mark.parametrize("track", [B0, B50])
@pytest.mark.parametrize(
    "method", ["finetune", "replay", "ewc", "lwf", "gem", "icarl", "wa", "der-wa", "memo", "foster"]
)
def test_surveyed_methods_start_from_the_survey_s_cosine_schedule(track: str, method: str) -> None:
    assert surveyed(track)[method].first_task == COSINE


def test_surveyed_bic_coil_and_podnet_train_a_first_task_of_their_own() -> None:
    recipes = surveyed(B0)
    assert (recipes["bic"].first_task.epochs, recipes["bic"].first_task.milestones) == (170, (60, 100, 140))
    assert (recipes["coil"].first_task.epochs, recipes["coil"].first_task.milestones) == (160, (80, 120))
    assert (recipes["podnet"].first_task.epochs, recipes["podnet"].first_task.curve) == (160, "cosine")


def test_surveyed_wa_adds_twice_the_distillation_without_clipping() -> None:
    wa = surveyed(B0)["wa"]
    assert (wa.distillation_weight, wa.clip_weights, wa.bias, wa.temperature) == (2.0, False, True, 2.0)
    assert wa.later_tasks == Schedule(epochs=170, milestones=(60, 100, 140), weight_decay=2e-4)


def test_surveyed_memo_anneals_by_cosine_and_fixes_its_trunk_on_b50_tracks_alone() -> None:
    later = Schedule(epochs=170, curve="cosine", weight_decay=2e-4)
    assert surveyed(B0)["memo"].later_tasks == surveyed(B50)["memo"].later_tasks == later
    assert surveyed(B0)["memo"].train_trunk
    assert not surveyed(B50)["memo"].train_trunk


def test_surveyed_coil_transports_every_200_steps_without_the_scale() -> None:
    coil = surveyed(B0)["coil"]
    assert (coil.transport_every, coil.scaled_transport) == (200, False)


def test_surveyed_ewc_estimates_its_fisher_from_augmented_batches_in_training_mode() -> None:
    ewc = surveyed(B0)["ewc"]
    assert (ewc.fisher, ewc.fisher_mode, ewc.fisher_max, ewc.strength) == ("batch", "training", 1e-4, 1000)


def test_the_exemplar_free_suite_keeps_no_exemplar_and_has_each_compensation_in_both_augmentations() -> None:
    suite = SUITES["exemplar-free-survey"]
    assert all(Track.from_slug(slug).memory.kind == "none" for slug in suite.tracks)
    assert not any(BY_NAME[recipe["name"]].uses_memory for recipe in suite.recipes)
    recipes = [BY_NAME["drift"].model_validate(each) for each in suite.recipes if each["name"] == "drift"]
    assert {(recipe.compensation, recipe.augmentation) for recipe in recipes} == {  # type: ignore[attr-defined]
        (compensation, augmentation)
        for compensation in ("none", "sdc", "adc", "ldc", "dpcr")
        for augmentation in ("dataset", "autoaugment")
    }
