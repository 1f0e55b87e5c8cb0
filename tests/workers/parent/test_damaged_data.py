"""A worker whose registered images were damaged: the run fails once, with a reason, and is not retried."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cil_core.data.folder import Preparation, register
from cil_core.spec.data_root import arrays_directory
from workers.parent.datasets import announce


@pytest.fixture
def damaged(workshop, tmp_path: Path) -> str:
    """A track on registered images, one byte of which has changed since."""
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("ant", "bee", "cow"):
            for number in range(6):
                file = tmp_path / "pictures" / split / name / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    root = workshop.directory / "datasets"
    register("pets", tmp_path / "pictures", root, Preparation())
    announce(workshop.database, root)
    array = arrays_directory("folder:pets", root) / "train_images.npy"
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    return "folder:pets-b2-inc1-m0-convnet"


def test_a_run_on_damaged_images_fails_at_once_and_names_the_file(workshop, recipes, damaged):
    workshop.track = damaged
    run_id = workshop.submit(recipes["quick"])
    workshop.start_worker()
    run = workshop.await_state(run_id, "succeeded", "failed", "dead")
    assert (run.state, run.failure) == ("failed", "invalid_data")
    assert [attempt.failure for attempt in run.attempts] == ["invalid_data"]
    assert "train_images.npy is damaged: its SHA-256 is" in run.message
