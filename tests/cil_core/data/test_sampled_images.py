"""Which training images few-shot and long-tailed tracks use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cil_core.data import loader
from cil_core.data.order import class_order, task_stream, training_images
from cil_core.data.source import Source
from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import DataError
from cil_core.spec.jobs import Track


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return loader("digits")(DATASETS["digits"], Path(tmp_path_factory.mktemp("data")))


def chosen(source: Source, slug: str) -> Tensor:
    return training_images(source, Track.from_slug(slug))


def per_class(source: Source, mask: Tensor) -> list[int]:
    return torch.bincount(source.arrays.train_labels[mask], minlength=10).tolist()


def test_later_classes_have_k_images_and_the_first_task_has_all(digits: Source) -> None:
    slug = "digits-b4-inc2-m0-convnet-shot5"
    order = class_order(Track.from_slug(slug).protocol, 10)
    counts = per_class(digits, chosen(digits, slug))
    every = per_class(digits, torch.ones(len(digits.arrays.train_labels), dtype=torch.bool))
    assert [counts[label] for label in order[4:]] == [5] * 6
    assert [counts[label] for label in order[:4]] == [every[label] for label in order[:4]]


def test_a_few_shot_list_is_numpy_s_permutation_of_each_class(digits: Source) -> None:
    labels = digits.arrays.train_labels.numpy()
    random = np.random.RandomState(1993)
    drawn = [np.flatnonzero(labels == c)[random.permutation((labels == c).sum())[:5]] for c in range(10)]
    slug = "digits-b4-inc2-m0-convnet-shot5"
    mask = chosen(digits, slug)
    for label in class_order(Track.from_slug(slug).protocol, 10)[4:]:
        kept = torch.nonzero(mask & (digits.arrays.train_labels == label)).flatten()
        assert kept.tolist() == sorted(drawn[label].tolist())


def test_the_list_of_a_class_depends_on_no_protocol_and_no_order(digits: Source) -> None:
    one = chosen(digits, "digits-b2-inc1-m0-convnet-shot5")
    other = chosen(digits, "digits-b4-inc3-m0-convnet-order7-shot5")
    orders = [
        class_order(Track.from_slug(slug).protocol, 10)[first:]
        for slug, first in (("digits-b2-inc1-m0-convnet", 2), ("digits-b4-inc3-m0-convnet-order7", 4))
    ]
    novel_in_both = torch.isin(
        digits.arrays.train_labels, torch.tensor(sorted(set(orders[0]) & set(orders[1])))
    )
    assert novel_in_both.any()
    assert torch.equal(one & novel_in_both, other & novel_in_both)


def test_a_longer_tail_is_a_subset_of_a_shorter_one(digits: Source) -> None:
    thick, thin = (chosen(digits, f"digits-b0-inc2-m0-convnet-lt{ratio}") for ratio in (10, 100))
    assert not (thin & ~thick).any()
    assert thin.sum() < thick.sum()


def test_an_ordered_tail_equals_an_unordered_one_under_the_natural_order(digits: Source) -> None:
    track = Track.from_slug("digits-b0-inc2-m0-convnet-lt10")
    natural = track.protocol.model_copy(update={"class_order": tuple(range(10))})
    plain, ordered = (
        training_images(digits, track.model_copy(update={"protocol": natural, "sample": sample}))
        for sample in ("lt10", "lt10o")
    )
    assert torch.equal(plain, ordered)


def test_the_images_of_a_long_tail_are_those_of_numpy_s_shuffle_by_seed_0() -> None:
    random = np.random.RandomState(0)
    shuffled = np.arange(500)
    random.shuffle(shuffled)
    assert shuffled[:8].tolist() == [90, 254, 283, 445, 461, 15, 316, 489]
    assert np.random.RandomState(0).permutation(500)[:8].tolist() == shuffled[:8].tolist()


def test_a_sample_leaves_the_test_images_as_they_are(digits: Source) -> None:
    plain, sampled = (
        task_stream(digits, Track.from_slug(f"digits-b4-inc2-m0-convnet{suffix}"))
        for suffix in ("", "-shot5")
    )
    for one, other in zip(plain, sampled, strict=True):
        assert torch.equal(one.test.pixels(), other.test.pixels())
    assert [len(task.train) for task in sampled[1:]] == [10, 10, 10]


def test_images_held_out_are_in_no_sample(digits: Source) -> None:
    held_out = ~chosen(digits, "digits-b4-inc2-m0-convnet-holdout20")
    assert not (held_out & chosen(digits, "digits-b4-inc2-m0-convnet-holdout20-shot5")).any()
    assert not (held_out & chosen(digits, "digits-b4-inc2-m0-convnet-holdout20-lt10")).any()


def test_more_shots_than_images_are_a_fault_of_the_data(digits: Source) -> None:
    with pytest.raises(DataError, match="shot500 needs 500 training images of class"):
        chosen(digits, "digits-b4-inc2-m0-convnet-shot500")
