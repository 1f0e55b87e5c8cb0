"""Registered folders whose files, arrays or registration change later."""

import json
import shutil
from pathlib import Path

import pytest

from cil_core.data import load
from cil_core.data.folder import Preparation, register, verify
from cil_core.spec import folder_datasets
from cil_core.spec.data_root import arrays_directory
from cil_core.spec.errors import DataError
from cil_core.spec.jobs import Track

from .formats import draw

SIZED = Preparation(size=8)
TRACK = Track.from_slug("folder:pets-b0-inc2-m0-convnet")


def test_an_unregistered_folder_is_refused_with_the_registered_ones(pictures: Path, data_root: Path) -> None:
    register("other", pictures, data_root, SIZED)
    with pytest.raises(DataError, match=r"no folder dataset 'pets' is registered in .*; registered: other"):
        load(TRACK, data_root)


def test_runs_use_what_was_registered_whatever_happens_to_the_files(pictures: Path, data_root: Path) -> None:
    fingerprint = register("pets", pictures, data_root, SIZED).card.fingerprint
    shutil.rmtree(pictures)
    assert load(TRACK, data_root).fingerprint == fingerprint


def test_verifying_names_a_file_that_changed(pictures: Path, data_root: Path) -> None:
    register("pets", pictures, data_root, SIZED)
    draw(pictures / "test" / "cat" / "1.png", seed=999)
    with pytest.raises(
        DataError, match=r"test/cat/1.png is not the image that was registered; 1 test images differ"
    ):
        verify("pets", data_root)


def test_verifying_notices_a_missing_file(pictures: Path, data_root: Path) -> None:
    register("pets", pictures, data_root, SIZED)
    (pictures / "train" / "cat" / "1.png").unlink()
    with pytest.raises(DataError, match=r"11 training images .* there are 12"):
        verify("pets", data_root)


def test_verifying_notices_a_class_that_was_renamed(pictures: Path, data_root: Path) -> None:
    register("pets", pictures, data_root, SIZED)
    for split in ("train", "test"):
        (pictures / split / "ant").rename(pictures / split / "aunt")
    with pytest.raises(DataError, match="has the classes aunt, bee, cat; registered were ant, bee, cat"):
        verify("pets", data_root)


def test_decoded_images_that_are_lost_are_decoded_again(pictures: Path, data_root: Path) -> None:
    fingerprint = register("pets", pictures, data_root, SIZED).card.fingerprint
    shutil.rmtree(arrays_directory("folder:pets", data_root))
    assert load(TRACK, data_root).fingerprint == fingerprint


def test_files_that_changed_before_they_were_decoded_again_are_refused(
    pictures: Path, data_root: Path
) -> None:
    register("pets", pictures, data_root, SIZED)
    shutil.rmtree(arrays_directory("folder:pets", data_root))
    draw(pictures / "test" / "cat" / "1.png", seed=999)
    with pytest.raises(DataError, match="is not what was registered as folder:pets: fingerprint"):
        load(TRACK, data_root)


@pytest.mark.parametrize("name", ["train_images", "test_labels"])
def test_a_damaged_array_is_named(pictures: Path, data_root: Path, name: str) -> None:
    register("pets", pictures, data_root, SIZED)
    file = arrays_directory("folder:pets", data_root) / f"{name}.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"{file} is damaged"):
        load(TRACK, data_root)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{file} is missing or damaged"):
        load(TRACK, data_root)
    file.unlink()
    with pytest.raises(DataError, match=rf"{file} is missing or damaged"):
        load(TRACK, data_root)


@pytest.mark.parametrize("content", ["", "{}", json.dumps({"sha256": {}}), "[1]"])
def test_a_damaged_manifest_is_named(pictures: Path, data_root: Path, content: str) -> None:
    register("pets", pictures, data_root, SIZED)
    file = arrays_directory("folder:pets", data_root) / "manifest.json"
    file.write_text(content)
    with pytest.raises(DataError, match=rf"{file} is missing or damaged"):
        load(TRACK, data_root)


@pytest.mark.parametrize("content", ["", "{}", "not JSON"])
def test_a_damaged_registration_is_named(pictures: Path, data_root: Path, content: str) -> None:
    register("pets", pictures, data_root, SIZED)
    folder_datasets.registration_file("pets", data_root).write_text(content)
    for look in (lambda: load(TRACK, data_root), lambda: folder_datasets.cards(data_root)):
        with pytest.raises(DataError, match=r"the registration .*pets.json is damaged"):
            look()
