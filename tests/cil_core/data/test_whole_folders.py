"""Folders whose photographs are kept whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cil_core.data import load
from cil_core.data.folder import Preparation, register, verify
from cil_core.engine.checkpoint import Checkpoints
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.data_root import arrays_directory
from cil_core.spec.errors import DataError
from cil_core.spec.events import RunFinished, TaskEvaluated
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.schedule import Schedule

from .formats import draw

TRACK = "folder:pets-b0-inc2-m8-convnet"
WHOLE = Preparation(size=12, shorter_side=16, augment=("resizedcrop:12", "flip"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Four classes, each with six photographs to train and two to test, upright and across."""
    directory = tmp_path / "photographs"
    for label, name in enumerate(("ant", "bee", "cat", "dog")):
        for split, count in (("train", 6), ("test", 2)):
            for number in range(count):
                size = (20 + number, 33) if number % 2 else (40, 20 + label)
                seed = 100 * label + 10 * (split == "test") + number
                draw(directory / split / name / f"{number}.png", seed=seed, size=size)
    return directory


def test_photographs_keep_their_ratio_and_are_measured(photographs: Path, data_root: Path) -> None:
    registered = register("pets", photographs, data_root, WHOLE)
    source = load(Track.from_slug(TRACK), data_root)
    assert (source.card.whole, source.card.stored, source.card.kernel) == (True, 16, "bicubic")
    kept = source.photographs("train")
    assert kept is not None
    with Image.open(photographs / "train" / "ant" / "1.png") as image:
        expected = np.asarray(image.resize((16, 25), Image.Resampling.BICUBIC))  # 21 × 33 pixels
    assert np.array_equal(list(kept)[1].numpy(), expected)
    pixels = torch.cat([photograph.flatten(0, 1) for photograph in kept]).double() / 255
    assert registered.card.mean == pytest.approx(pixels.mean(dim=0).tolist(), abs=1e-4)
    assert registered.card.std == pytest.approx(pixels.std(dim=0, correction=0).tolist(), abs=1e-4)
    assert not list(arrays_directory("folder:pets", data_root).parent.glob("*.unfinished"))


def test_a_photograph_that_changed_is_named(photographs: Path, data_root: Path) -> None:
    register("pets", photographs, data_root, WHOLE)
    assert verify("pets", data_root).card.name == "folder:pets"
    draw(photographs / "test" / "cat" / "1.png", seed=1, size=(30, 20))
    with pytest.raises(DataError, match=r"cat/1\.png is not the image that was registered; 1 test images"):
        verify("pets", data_root)


def test_copies_and_flat_photographs_are_reported(photographs: Path, data_root: Path) -> None:
    (photographs / "test" / "bee" / "0.png").write_bytes(
        (photographs / "train" / "bee" / "3.png").read_bytes()
    )
    Image.new("RGB", (50, 20), "red").save(photographs / "train" / "cat" / "0.png")
    assert register("pets", photographs, data_root, WHOLE).card.warnings == (
        "1 of 8 test images are also training images",
        "1 of 24 training images have one colour throughout",
    )


@pytest.mark.parametrize("size", [None, 20])
def test_a_shorter_side_below_the_networks_size_is_refused(
    size: int | None, photographs: Path, data_root: Path
) -> None:
    with pytest.raises(DataError, match="whole photographs need a shorter side of at least the size"):
        register("pets", photographs, data_root, Preparation(size=size, shorter_side=16))


def test_a_strip_is_no_photograph(photographs: Path, data_root: Path) -> None:
    Image.new("RGB", (1, 900)).save(photographs / "train" / "cat" / "9.png")
    with pytest.raises(DataError, match=r"cat/9\.png has 1 × 900 pixels: one side is more than 200 times"):
        register("pets", photographs, data_root, WHOLE)


def test_a_damaged_photograph_leaves_nothing_behind(photographs: Path, data_root: Path) -> None:
    (photographs / "train" / "dog" / "5.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"dog/5\.png cannot be decoded"):
        register("pets", photographs, data_root, WHOLE)
    assert not list((data_root / "folders").glob("pets*"))


@pytest.mark.parametrize("name", ["icarl", "derpp"])
def test_a_run_resumes_with_exemplars_that_are_photographs(
    name: str, photographs: Path, data_root: Path, tmp_path: Path
) -> None:
    register("pets", photographs, data_root, WHOLE)
    schedule = Schedule(epochs=1, batch_size=8, lr=0.02).model_dump()
    schedules = dict.fromkeys(BY_NAME[name].published().schedules, schedule)
    spec = RunSpec.model_validate({"method": {"name": name, **schedules}, "track": TRACK, "seed": 3})
    machine, checkpoints = Machine(data_root=data_root), Checkpoints(tmp_path / "checkpoints")
    *_, whole = run(spec, machine)
    interrupted = run(spec, machine, checkpoints)
    while not isinstance(next(interrupted), TaskEvaluated):
        pass
    next(interrupted)  # the checkpoint is written after the event
    interrupted.close()
    first, *_, resumed = run(spec, machine, checkpoints)
    assert isinstance(whole, RunFinished)
    assert first.resumed_at == 1
    assert resumed == whole
