"""Folders of images that cannot be registered: the message names what is wrong."""

import shutil
from pathlib import Path

import pytest

from cil_core.data.folder import Preparation, register
from cil_core.spec import folder_datasets
from cil_core.spec.errors import DataError
from cil_core.spec.jobs import Track

from .formats import draw

SIZED = Preparation(size=8)
TRACK = Track.from_slug("folder:pets-b0-inc2-m0-convnet")


def refused(pictures: Path, data_root: Path, preparation: Preparation = SIZED, name: str = "pets") -> str:
    """The message with which registering is refused; nothing may be left behind."""
    with pytest.raises(DataError) as error:
        register(name, pictures, data_root, preparation)
    assert folder_datasets.cards(data_root).keys() == folder_datasets.cards(data_root / "empty").keys()
    return str(error.value)


def test_a_truncated_file_is_named(pictures: Path, data_root: Path) -> None:
    file = pictures / "test" / "bee" / "0.jpg"
    file.write_bytes(file.read_bytes()[:-100])
    assert refused(pictures, data_root).startswith(f"{file} cannot be decoded")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(pictures: Path, data_root: Path, content: bytes) -> None:
    file = pictures / "train" / "cat" / "1.png"
    file.write_bytes(content)
    assert refused(pictures, data_root).startswith(f"{file} cannot be")


def test_images_of_mixed_sizes_are_refused_with_the_one_that_differs(pictures: Path, data_root: Path) -> None:
    file = pictures / "train" / "cat" / "2.jpg"
    draw(file, seed=1, size=(17, 16))
    assert (
        refused(pictures, data_root, Preparation())
        == f"{file} has 17 × 16 pixels, not 16 × 16; state a size to which all images are resized"
    )


def test_an_image_that_is_not_square_sets_no_size(pictures: Path, data_root: Path) -> None:
    draw(pictures / "train" / "ant" / "0.jpg", seed=1, size=(17, 16))
    assert "images are square, or a size is stated" in refused(pictures, data_root, Preparation())


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_class_is_named(pictures: Path, data_root: Path, split: str) -> None:
    shutil.rmtree(pictures / split / "bee")
    assert refused(pictures, data_root) == f"{pictures / split}: no {split} image of class bee"


def test_an_empty_class_is_named(pictures: Path, data_root: Path) -> None:
    (pictures / "train" / "dog").mkdir()
    assert refused(pictures, data_root) == f"{pictures / 'train' / 'dog'} holds no image"


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_split_is_named(pictures: Path, data_root: Path, split: str) -> None:
    shutil.rmtree(pictures / split)
    assert refused(pictures, data_root).startswith(f"{pictures / split} is not a directory")


def test_what_lies_beside_a_missing_split_is_named(pictures: Path, data_root: Path) -> None:
    (pictures / "test").rename(pictures / "val")
    assert refused(pictures, data_root).endswith(f"{pictures} holds 'train', 'val'")


def test_an_empty_file_is_named_as_such(pictures: Path, data_root: Path) -> None:
    (pictures / "train" / "bee" / "9.png").touch()
    assert refused(pictures, data_root).endswith("bee/9.png cannot be decoded: the file is empty")


def test_a_single_class_is_refused(pictures: Path, data_root: Path) -> None:
    for split in ("train", "test"):
        for name in ("bee", "cat"):
            shutil.rmtree(pictures / split / name)
    assert "at least 2 are needed" in refused(pictures, data_root)


@pytest.mark.parametrize("name", ["", "Pets", "../pets", "a b", "pets-", "-pets"])
def test_a_name_that_does_not_fit_in_a_slug_is_refused(pictures: Path, data_root: Path, name: str) -> None:
    assert "lower-case letters" in refused(pictures, data_root, name=name)


@pytest.mark.parametrize(
    ("preparation", "says"),
    [
        (Preparation(size=8, augment=("spin",)), "folder:pets: unknown augmentation 'spin'"),
        (Preparation(size=8, channels=2), "1 or 3 channels, not 2"),
        (Preparation(size=8, mean=(0.5,)), "need as many means"),
    ],
)
def test_a_preparation_that_cannot_be_carried_out_is_refused(
    pictures: Path, data_root: Path, preparation: Preparation, says: str
) -> None:
    assert says in refused(pictures, data_root, preparation)


@pytest.mark.parametrize(
    "content", ["", "path;class;split\na;b;train", "path,class,split\ntrain/ant/0.jpg,ant,validation"]
)
def test_a_bad_split_file_is_named(pictures: Path, data_root: Path, tmp_path: Path, content: str) -> None:
    table = tmp_path / "split.csv"
    table.write_text(content)
    with pytest.raises(DataError, match=r"split.csv"):
        register("pets", pictures, data_root, SIZED, split_file=table)


def test_an_unknown_background_is_refused(pictures: Path, data_root: Path) -> None:
    assert "background 'nowhite' is no colour" in refused(
        pictures, data_root, Preparation(background="nowhite")
    )
