"""Folders of images: registering and loading."""

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
from cil_core.spec.errors import DataError
from cil_core.spec.folder_datasets import Registration
from cil_core.spec.jobs import Track

from .formats import draw

SIZED = Preparation(size=8)
TRACK = Track.from_slug("folder:pets-b0-inc2-m0-convnet")


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


def test_the_same_images_in_another_folder_have_the_same_fingerprint(
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


def as_registered_by_version_one(pictures: Path, data_root: Path) -> Registration:
    """The registration that the first version wrote: without counts, rules or names on the card."""
    source = Source(
        DatasetCard(
            name="folder:pets",
            title="pets",
            classes=3,
            channels=3,
            size=8,
            train_images=14,
            test_images=6,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            augment=("flip",),
            citation="x",
            licence="x",
        ),
        version_one_arrays(pictures),
    )
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
