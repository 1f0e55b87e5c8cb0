"""Presets and suites: every one of them can be run, and says what papers say."""

import numpy as np
import pytest

from cil_core.data.order import class_order
from cil_core.spec.catalog import DATASETS
from cil_core.spec.jobs import Track
from cil_core.spec.presets import PRESETS
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.suites import SUITES
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


def test_the_survey_is_run_as_its_authors_code_has_it() -> None:
    recipes = {recipe["name"]: recipe.get("preset") for recipe in SUITES["cifar100-survey"].recipes}
    assert recipes["wa"] == recipes["bic"] == "pycil"
    assert "der" not in recipes  # the survey's DER has neither masks nor a second stage: der-wa
    assert len(recipes) == 14
