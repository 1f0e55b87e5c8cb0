"""Images that stay in their files give what resident ones give, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.data.streamed import StreamedDataset
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.catalog import DATASETS
from cil_core.spec.events import RunFinished
from cil_core.spec.jobs import RunSpec
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.schedule import Schedule

TRANSFORM = Transform(DATASETS["cifar10"])


@pytest.fixture
def both(tmp_path: Path) -> tuple[ArrayDataset, StreamedDataset]:
    """The same thirty images, once in memory and once in a memory-mapped file."""
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    mapped = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c"))
    labels = torch.arange(30) % 5
    return ArrayDataset(torch.from_numpy(images), labels, TRANSFORM), StreamedDataset.from_arrays(
        mapped, labels, TRANSFORM
    )


def batches(data: ArrayDataset, **options: bool) -> list[tuple[Tensor, ...]]:
    return [
        (batch.x, batch.y, batch.index, batch.raw)
        for batch in data.batches(4, torch.Generator().manual_seed(1), augment=True, **options)
    ]


def assert_equal(resident: ArrayDataset, streamed: ArrayDataset) -> None:
    assert len(resident) == len(streamed)
    assert torch.equal(resident.pixels(), streamed.pixels())
    for one, other in zip(batches(resident), batches(streamed), strict=True):
        assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def test_batches_are_the_same(both: tuple[ArrayDataset, StreamedDataset]) -> None:
    assert_equal(*both)
    assert len(batches(both[1], drop_last=True)) == 7


@pytest.mark.parametrize(
    "changed",
    [
        lambda data: data.of_classes(1, 3),
        lambda data: data.select(torch.tensor([5, 5, 2])),
        lambda data: data.select(torch.arange(30) > 20).of_classes(0, 4),
        lambda data: data.of_classes(0, 2) + data.of_classes(3, 4),
        lambda data: data.balanced(torch.Generator().manual_seed(3)),
        lambda data: data.split_balanced(2, torch.Generator().manual_seed(3))[1],
        lambda data: data.flipped(),
        lambda data: data.augmented_by("flip"),
    ],
)
def test_whatever_is_made_of_them_is_the_same(both: tuple[ArrayDataset, StreamedDataset], changed) -> None:
    assert_equal(changed(both[0]), changed(both[1]))


def test_exemplars_precede_or_follow_streamed_images(both: tuple[ArrayDataset, StreamedDataset]) -> None:
    resident, streamed = both
    exemplars = ArrayDataset(torch.full((6, 3, 32, 32), 7, dtype=torch.uint8), torch.full((6,), 9), TRANSFORM)
    assert_equal(resident + exemplars, streamed + exemplars)
    assert_equal(exemplars + resident, exemplars + streamed)
    assert_equal(
        (resident + exemplars + exemplars).select(torch.tensor([40, 0, 31])),
        (streamed + exemplars + exemplars).select(torch.tensor([40, 0, 31])),
    )
    assert_equal(
        resident.of_classes(0, 1) + (resident + exemplars), streamed.of_classes(0, 1) + (streamed + exemplars)
    )


def test_selecting_moves_no_pixels(both: tuple[ArrayDataset, StreamedDataset]) -> None:
    assert both[1].of_classes(1, 3).images is both[1].images


def test_a_pass_that_is_left_early_leaves_no_reader_behind(
    both: tuple[ArrayDataset, StreamedDataset],
) -> None:
    import threading

    before = threading.active_count()
    for _ in both[1].batches(2):
        break
    assert threading.active_count() == before


def test_images_on_a_device_are_not_streamed() -> None:
    with pytest.raises(ValueError, match="streamed images are uint8"):
        StreamedDataset.from_arrays(torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.long), TRANSFORM)
    with pytest.raises(ValueError, match=r"labels are int64 \(2,\) for 2 rows"):
        StreamedDataset.from_arrays(
            torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.long), TRANSFORM
        )


@pytest.mark.parametrize("name", ["icarl", "bic", "derpp", "gem", "podnet", "fetril", "der", "joint"])
@pytest.mark.parametrize("track", ["digits-b4-inc3-m50-{}", "digits-b4-inc3-m50-{}-holdout20"])
def test_a_run_that_streams_gives_the_same_matrix(name: str, track: str, tmp_path: Path) -> None:
    schedule = Schedule(epochs=1, batch_size=64, lr=0.02).model_dump()
    schedules = dict.fromkeys(BY_NAME[name].published().schedules, schedule)
    backbone = "resnet14" if name == "podnet" else "convnet"
    spec = RunSpec.model_validate(
        {"method": {"name": name, **schedules}, "track": track.format(backbone), "seed": 3}
    )

    def digest(resident_bytes: int) -> str:
        *_, last = run(spec, Machine(data_root=tmp_path, resident_bytes=resident_bytes))
        assert isinstance(last, RunFinished)
        return last.matrix_digest

    assert digest(0) == digest(2**40)
