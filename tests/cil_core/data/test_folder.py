"""Folders of images: registering, loading, and everything that can be wrong with them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from cil_core.data import load
from cil_core.data.folder import Preparation, register, verify
from cil_core.data.order import task_stream
from cil_core.data.source import Arrays, Source
from cil_core.spec import folder_datasets
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.data_root import arrays_directory
from cil_core.spec.errors import DataError
from cil_core.spec.folder_datasets import Registration
from cil_core.spec.jobs import Track

SIZED = Preparation(size=8)
TRACK = Track.from_slug("folder:pets-b0-inc2-m0-convnet")


def draw(path: Path, seed: int, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> None:
    shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of JPEGs and PNGs: four for training, two for testing."""
    directory = tmp_path / "pictures"
    for label, name in enumerate(("ant", "bee", "cat")):
        for split, count in (("train", 4), ("test", 2)):
            for number in range(count):
                draw(
                    directory / split / name / f"{number}.{'png' if number % 2 else 'jpg'}",
                    seed=100 * label + 10 * (split == "test") + number,
                )
    return directory


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_registered_folder_is_loaded_as_its_files_say(pictures: Path, data_root: Path) -> None:
    registered = register("pets", pictures, data_root, Preparation(title="Pets", augment=("crop:2", "flip")))
    source = load(TRACK, data_root)
    assert registered.class_names == ("ant", "bee", "cat")
    assert source.card == registered.card
    assert (source.card.classes, source.card.size, source.card.train_images, source.card.test_images) == (
        3,
        16,
        12,
        6,
    )
    assert source.arrays.train_labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    with Image.open(pictures / "train" / "bee" / "3.png") as image:
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), source.arrays.train_images[7].numpy())
    assert source.fingerprint == registered.card.fingerprint


def test_normalisation_is_measured_on_the_training_images(pictures: Path, data_root: Path) -> None:
    register("pets", pictures, data_root, Preparation())
    source = load(TRACK, data_root)
    pixels = source.arrays.train_images.double() / 255
    assert source.card.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist(), abs=1e-4)
    assert source.card.std == pytest.approx(
        pixels.transpose(0, 1).flatten(1).std(dim=1, correction=0).tolist(), abs=1e-4
    )


def test_a_folder_feeds_a_stream_of_tasks(pictures: Path, data_root: Path) -> None:
    register("pets", pictures, data_root, SIZED)
    tasks = task_stream(load(TRACK, data_root), TRACK)
    assert [(len(task.train), len(task.test)) for task in tasks] == [(8, 4), (4, 2)]
    assert next(tasks[0].train.batches(4, torch.Generator().manual_seed(0), augment=True)).x.shape == (
        4,
        3,
        8,
        8,
    )


def test_registered_folders_join_the_catalogue(pictures: Path, data_root: Path) -> None:
    assert "folder:pets" not in folder_datasets.cards(data_root)
    card = register("pets", pictures, data_root, SIZED).card
    assert folder_datasets.cards(data_root)["folder:pets"] == card
    assert "digits" in folder_datasets.cards(data_root)


def test_registering_twice_changes_nothing(pictures: Path, data_root: Path) -> None:
    assert register("pets", pictures, data_root, SIZED) == register("pets", pictures, data_root, SIZED)


def test_the_same_images_elsewhere_have_the_same_fingerprint(
    pictures: Path, data_root: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(pictures, moved)
    fingerprints = {
        register("pets", path, root, SIZED).card.fingerprint
        for path, root in ((pictures, data_root), (moved, tmp_path / "other"))
    }
    assert len(fingerprints) == 1


def test_preparation_is_part_of_the_fingerprint(pictures: Path, tmp_path: Path) -> None:
    variants = [
        SIZED,
        Preparation(size=16),
        Preparation(size=8, augment=("crop:1",)),
        Preparation(size=8, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)),
    ]
    fingerprints = {
        register("pets", pictures, tmp_path / str(number), variant).card.fingerprint
        for number, variant in enumerate(variants)
    }
    assert len(fingerprints) == len(variants)


def test_another_dataset_under_a_taken_name_is_refused(pictures: Path, data_root: Path) -> None:
    first = register("pets", pictures, data_root, SIZED)
    with pytest.raises(
        DataError,
        match=r"folder:pets is already registered from .*pictures with other content; choose another name",
    ):
        register("pets", pictures, data_root, Preparation(size=12))
    assert load(TRACK, data_root).fingerprint == first.card.fingerprint


def test_grey_images_have_one_channel(pictures: Path, data_root: Path) -> None:
    assert register("pets", pictures, data_root, Preparation(channels=1)).card.channels == 1
    assert load(TRACK, data_root).arrays.train_images.shape == (12, 1, 16, 16)


def test_other_sizes_are_scaled_and_cropped_around_the_centre_if_a_size_is_stated(
    pictures: Path, data_root: Path
) -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = 200
    Image.fromarray(wide).save(pictures / "train" / "ant" / "1.png")
    register("pets", pictures, data_root, SIZED)
    assert load(TRACK, data_root).arrays.train_images[1].unique().tolist() == [200]


def test_files_that_are_no_images_are_passed_over(pictures: Path, data_root: Path) -> None:
    (pictures / "train" / "ant" / "notes.txt").write_text("x")
    (pictures / "train" / ".hidden").mkdir()
    (pictures / "train" / "ant" / ".0.jpg").write_text("left behind by an editor")
    assert register("pets", pictures, data_root, SIZED).card.train_images == 12


def test_images_may_lie_deeper_in_their_class(pictures: Path, data_root: Path) -> None:
    draw(pictures / "train" / "ant" / "images" / "deep" / "9.png", seed=9)
    assert register("pets", pictures, data_root, SIZED).card.train_images == 13


def test_a_split_file_says_what_is_what(pictures: Path, data_root: Path, tmp_path: Path) -> None:
    lines = [
        f"train/{name}/{number}.{'png' if number % 2 else 'jpg'},{name},{'test' if number == 3 else 'train'}"
        for name in ("ant", "bee")
        for number in range(4)
    ]
    table = tmp_path / "split.csv"
    table.write_text("\n".join(["path,class,split", *lines]))
    registered = register("pets", pictures, data_root, SIZED, split_file=table)
    assert registered.class_names == ("ant", "bee")
    assert (registered.card.train_images, registered.card.test_images) == (6, 2)
    assert verify("pets", data_root) == registered


def test_a_card_counts_the_images_of_every_class(pictures: Path, data_root: Path) -> None:
    draw(pictures / "train" / "bee" / "9.png", seed=9)
    card = register("pets", pictures, data_root, SIZED).card
    assert (card.class_names, card.train_per_class, card.test_per_class) == (
        ("ant", "bee", "cat"),
        (4, 5, 4),
        (2, 2, 2),
    )
    assert (card.warnings, card.background) == (None, None)


def test_a_background_is_part_of_the_fingerprint_only_where_it_shows(pictures: Path, tmp_path: Path) -> None:
    def fingerprint(background: str) -> str | None:
        root = tmp_path / f"{background}-{len(list(tmp_path.iterdir()))}"
        return register("pets", pictures, root, Preparation(size=8, background=background)).card.fingerprint

    assert fingerprint("white") == fingerprint("black")
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(pictures / "train" / "ant" / "9.png")
    assert fingerprint("white") != fingerprint("black")
    assert fingerprint("white") == fingerprint("#ffffff")


def test_an_unknown_background_is_refused(pictures: Path, data_root: Path) -> None:
    assert "background 'nowhite' is no colour" in refused(
        pictures, data_root, Preparation(background="nowhite")
    )


def as_registered_by_version_one(pictures: Path, data_root: Path) -> Registration:
    """The registration that the first version wrote for these files: without counts, rules or names on the card."""
    source = Source(
        DatasetCard(
            name="folder:pets", title="pets", classes=3, channels=3, size=8, train_images=14, test_images=6,
            mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), augment=("flip",), citation="x", licence="x",
        ),
        version_one_arrays(pictures),
    )  # fmt: skip
    card = source.card.model_copy(update={"fingerprint": source.fingerprint})
    old = Registration(path=str(pictures), resize=True, class_names=("1", "10", "2"), card=card)
    file = folder_datasets.registration_file("pets", data_root)
    file.parent.mkdir(parents=True)
    unknown_then = {"background", "skipped", "converted"}
    file.write_text(old.model_dump_json(exclude=unknown_then))
    return old


def version_one_arrays(pictures: Path) -> Arrays:
    parts: list[torch.Tensor] = []
    for split in ("train", "test"):
        files = sorted(path for path in (pictures / split).rglob("*") if path.suffix in {".png", ".jpg"})
        images = [
            ImageOps.fit(Image.open(file).convert("RGB"), (8, 8), Image.Resampling.BILINEAR) for file in files
        ]
        labels = [("1", "10", "2").index(file.relative_to(pictures / split).parts[0]) for file in files]
        parts += [torch.from_numpy(np.stack([np.asarray(image).transpose(2, 0, 1) for image in images]))]
        parts += [torch.tensor(labels)]
    return Arrays(*parts)


def test_a_registration_of_an_earlier_version_keeps_its_numbers_and_pixels(
    pictures: Path, data_root: Path
) -> None:
    for split in ("train", "test"):
        for name, number in (("ant", "1"), ("bee", "2"), ("cat", "10")):
            (pictures / split / name).rename(pictures / split / number)
    Image.new("RGBA", (16, 16), (1, 2, 3, 0)).save(pictures / "train" / "1" / "8.png")
    (pictures / "train" / "1" / ".checkpoints").mkdir()
    draw(pictures / "train" / "1" / ".checkpoints" / "9.png", seed=9)
    old = as_registered_by_version_one(pictures, data_root)
    assert load(TRACK, data_root).fingerprint == old.card.fingerprint  # decoded from the files
    assert verify("pets", data_root) == old
    assert folder_datasets.cards(data_root)["folder:pets"] == old.card
    assert register("pots", pictures, data_root, SIZED).class_names == ("1", "2", "10")


def test_registering_again_with_a_later_version_keeps_the_numbers(pictures: Path, data_root: Path) -> None:
    for split in ("train", "test"):
        for name, number in (("ant", "1"), ("bee", "2"), ("cat", "10")):
            (pictures / split / name).rename(pictures / split / number)
    first = register("pets", pictures, data_root, SIZED)
    file = folder_datasets.registration_file("pets", data_root)
    names = ["1", "10", "2"]
    file.write_text(json.dumps({**json.loads(file.read_text()), "class_names": names}))
    with pytest.raises(DataError, match="already registered"):  # the fingerprint is that of another order
        register("pets", pictures, data_root, SIZED)
    assert first.class_names == ("1", "2", "10")


# ---------------------------------------------------------------------------------------------------- what is refused


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


# ---------------------------------------------------------------------------------------------------- what changes later


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


def test_verifying_notices_a_file_that_is_gone(pictures: Path, data_root: Path) -> None:
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
