"""`cil data …` as a user types it, on real images and a real database."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cil_core.spec.data_root import MANIFEST, arrays_directory, registration_file
from store.datasets import dataset_cards, fingerprint_of
from workers.cli.data_commands import data
from workers.parent.datasets import announce


def cil_data(*arguments: object) -> Result:
    return CliRunner().invoke(
        data,
        [str(argument) for argument in arguments],
        env={"CIL_DATABASE_URL": None, "CIL_DATA_DIR": None, "COLUMNS": "200"},
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        for name in ("ant", "bee"):
            for number in range(count):
                file = tmp_path / "pictures" / split / name / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, 256, (10, 10, 3), dtype=np.uint8)).save(file)
    return tmp_path / "pictures"


def test_a_folder_is_added_listed_and_verified(pictures: Path, tmp_path: Path) -> None:
    added = cil_data(
        "add",
        "pets",
        pictures,
        "--data-dir",
        tmp_path,
        "--size",
        8,
        "--augment",
        "crop:1, flip",
        "--title",
        "Pets",
    )
    assert added.exit_code == 0
    assert "folder:pets: 2 classes, 6 training and 4 test images of 8×8×3" in added.stdout
    assert "not registered with a service" in added.stderr
    (card,) = [
        card
        for card in json.loads(cil_data("list", "--json", "--data-dir", tmp_path).stdout)
        if card["name"] == "folder:pets"
    ]
    assert (card["augment"], card["title"], card["here"]) == (["crop:1", "flip"], "Pets", True)
    verified = cil_data("verify", "folder:pets", "--data-dir", tmp_path)
    assert verified.stdout == f"folder:pets: OK, fingerprint {card['fingerprint']}\n"


def test_adding_shows_the_numbering_what_was_skipped_and_what_is_suspicious(
    pictures: Path, tmp_path: Path
) -> None:
    (pictures / "train" / "ant" / "notes.txt").write_text("x")
    (pictures / "train" / "ant" / ".thumbs").mkdir()
    Image.new("RGBA", (10, 10)).save(pictures / "train" / "bee" / "9.png")
    (pictures / "test" / "bee" / "1.png").write_bytes((pictures / "train" / "bee" / "0.png").read_bytes())
    added = cil_data("add", "pets", pictures, "--data-dir", tmp_path)
    shown = cil_data("show", "folder:pets", "--data-dir", tmp_path)
    assert shown.stdout.splitlines() == [
        "folder:pets: 2 classes, 7 training and 4 test images of 10×10×3",
        "number    train     test  class",
        "     0        3        2  ant",
        "     1        4        2  bee",
        "background #ffffff",
        "skipped: 1 × hidden folder .thumbs",
        "skipped: 1 × other file (.txt)",
        "converted: 1 × transparent, placed on the background",
        shown.stdout.splitlines()[-1],
    ]
    assert added.stdout == shown.stdout
    assert shown.stderr.splitlines() == [
        "warning: 1 of 4 test images are also training images",
        "warning: 1 of 7 training images have one colour throughout",
    ]
    found = json.loads(cil_data("show", "folder:pets", "--data-dir", tmp_path, "--json").stdout)
    assert found["numbering"][1] == {"number": 1, "name": "bee", "train": 4, "test": 2}
    assert found["skipped"] == {"hidden folder .thumbs": 1, "other file (.txt)": 1}


def test_a_folder_with_the_counts_of_a_published_split_is_recognised(pictures: Path, tmp_path: Path) -> None:
    added = cil_data("add", "birds", pictures, "--data-dir", tmp_path)
    assert "matches the counts" not in added.stdout
    file = registration_file("birds", tmp_path / "datasets")
    stored = json.loads(file.read_text())
    unknown = dict.fromkeys(("class_names", "train_per_class", "test_per_class"))
    stored["card"] |= {"classes": 200, "train_images": 9430, "test_images": 2358, **unknown}
    file.write_text(json.dumps(stored))
    shown = cil_data("show", "folder:birds", "--data-dir", tmp_path).stdout
    assert "matches the counts of CUB-200-2011 (cub200: " in shown
    assert "fingerprint not verified" in shown


def test_fetching_a_published_split_says_that_its_fingerprint_is_not_verified(tmp_path: Path) -> None:
    prepared = arrays_directory("vtab", tmp_path / "datasets") / MANIFEST
    prepared.parent.mkdir(parents=True)
    prepared.touch()
    fetched = cil_data("fetch", "vtab", "--data-dir", tmp_path).stdout
    assert fetched.startswith("vtab: on this machine; it matches the counts of VTAB")
    assert fetched.endswith("fingerprint not verified\n")


def test_photographs_are_kept_whole_on_request(pictures: Path, tmp_path: Path) -> None:
    added = cil_data("add", "pets", pictures, "--data-dir", tmp_path, "--size", 6, "--shorter-side", 8)
    assert added.exit_code == 0
    assert cil_data("verify", "folder:pets", "--data-dir", tmp_path).exit_code == 0


def test_a_background_is_an_option(pictures: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (10, 10)).save(pictures / "train" / "bee" / "9.png")
    added = cil_data("add", "pets", pictures, "--data-dir", tmp_path, "--background", "black")
    assert "background #000000" in added.stdout


def test_numbered_classes_are_shown_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(12):
            file = tmp_path / "pictures" / split / str(number) / "0.png"
            file.parent.mkdir(parents=True)
            Image.fromarray(random.integers(0, 256, (10, 10, 3), dtype=np.uint8)).save(file)
    added = cil_data("add", "numbers", tmp_path / "pictures", "--data-dir", tmp_path)
    rows = [line.split() for line in added.stdout.splitlines()[2:14]]
    assert rows == [[str(number), "1", "1", str(number)] for number in range(12)]


def test_built_in_datasets_are_shown_as_far_as_they_are_known(tmp_path: Path) -> None:
    shown = cil_data("show", "cifar10", "--data-dir", tmp_path).stdout.splitlines()
    assert shown[4] == "     2     5000     1000  bird"
    assert (
        cil_data("show", "imagenet1000", "--data-dir", tmp_path).stdout.splitlines()[2]
        == "     0        ?        ?"
    )
    unknown = cil_data("show", "pets", "--data-dir", tmp_path)
    assert (unknown.exit_code, "unknown dataset 'pets'; known here: cars196, cifar10" in unknown.stderr) == (
        1,
        True,
    )


def test_a_class_that_is_missing_from_both_splits_is_noticed(pictures: Path, tmp_path: Path) -> None:
    refused = cil_data("add", "pets", pictures, "--data-dir", tmp_path, "--classes", 3)
    assert refused.exit_code == 1
    assert "has images of 2 classes, not 3: ant, bee" in refused.stderr
    assert not registration_file("pets", tmp_path / "datasets").exists()
    assert cil_data("add", "pets", pictures, "--data-dir", tmp_path, "--classes", 2).exit_code == 0


def test_a_folder_is_announced_to_a_service_once(
    pictures: Path, tmp_path: Path, database, database_url: str
) -> None:
    for _ in range(2):
        added = cil_data("add", "pets", pictures, "--data-dir", tmp_path, "--database", database_url)
        assert (added.exit_code, added.stdout.splitlines()[-1]) == (0, "registered with the service")
    with database.reading() as session:
        card = dataset_cards(session)["folder:pets"]
        assert fingerprint_of(session, "folder:pets") == card.fingerprint
    assert card.size == 10


def test_the_embedded_service_is_found_beside_its_datasets(
    pictures: Path, tmp_path: Path, sqlite_url: str
) -> None:
    Path(sqlite_url.removeprefix("sqlite:///")).rename(tmp_path / "cil.sqlite3")
    assert "registered with the service" in cil_data("add", "pets", pictures, "--data-dir", tmp_path).stdout


@pytest.mark.parametrize("name", ["%41", "a?b", '"quoted" #1'])
def test_the_embedded_service_is_found_in_a_directory_of_any_name(
    pictures: Path, tmp_path: Path, sqlite_url: str, name: str
) -> None:
    directory = tmp_path / "parent" / name
    directory.mkdir(parents=True)
    Path(sqlite_url.removeprefix("sqlite:///")).rename(directory / "cil.sqlite3")
    assert "registered with the service" in cil_data("add", "pets", pictures, "--data-dir", directory).stdout
    assert [path.name for path in (tmp_path / "parent").iterdir()] == [name]


def test_other_images_under_a_name_the_service_knows_are_refused(
    pictures: Path, tmp_path: Path, sqlite_url: str
) -> None:
    cil_data("add", "pets", pictures, "--data-dir", tmp_path / "here", "--database", sqlite_url)
    other = cil_data(
        "add", "pets", pictures, "--data-dir", tmp_path / "there", "--size", 8, "--database", sqlite_url
    )
    assert other.exit_code == 1
    assert "folder:pets is registered with the fingerprint" in other.stderr


def test_announcing_names_what_was_announced(pictures: Path, tmp_path: Path, database) -> None:
    assert announce(database, tmp_path / "datasets") == ()
    cil_data("add", "pets", pictures, "--data-dir", tmp_path)
    assert announce(database, tmp_path / "datasets") == ("folder:pets",)


def test_a_worker_tells_the_service_of_the_folders_on_its_machine(pictures: Path, workshop, until) -> None:
    cil_data("add", "pets", pictures, "--data-dir", workshop.directory)
    worker = workshop.start_worker()
    until(lambda: "registered folder datasets: folder:pets" in worker.output)
    with workshop.database.reading() as session:
        assert "folder:pets" in dataset_cards(session)


def test_a_worker_with_other_images_under_a_known_name_refuses_to_start(
    pictures: Path, tmp_path: Path, workshop, until
) -> None:
    cil_data(
        "add", "pets", pictures, "--data-dir", tmp_path / "elsewhere", "--size", 8, "--database", workshop.url
    )
    cil_data("add", "pets", pictures, "--data-dir", workshop.directory)
    worker = workshop.start_worker()
    assert worker.process.wait(60) == 2
    assert "folder:pets is registered with the fingerprint" in worker.output


def test_a_database_without_tables_is_refused(pictures: Path, tmp_path: Path) -> None:
    added = cil_data(
        "add", "pets", pictures, "--data-dir", tmp_path, "--database", f"sqlite:///{tmp_path}/empty.sqlite"
    )
    assert added.exit_code == 1
    assert "no such table" in added.stderr


def test_a_truncated_image_is_named_and_nothing_is_registered(pictures: Path, tmp_path: Path) -> None:
    file = pictures / "train" / "bee" / "1.png"
    file.write_bytes(file.read_bytes()[:200])
    added = cil_data("add", "pets", pictures, "--data-dir", tmp_path)
    assert added.exit_code == 1
    assert added.stderr.startswith(f"cil data: {file} cannot be decoded")
    assert not registration_file("pets", tmp_path / "datasets").exists()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--size", "2"], 2, "size: Input should be greater than or equal to 4"),
        (["--size", "8", "--mean", "a,b"], 2, "--mean takes numbers separated by commas, not 'a,b'"),
        (["--size", "8", "--mean", "0.5"], 1, "3 channel(s) need as many means"),
        (["--augment", "spin"], 1, "unknown augmentation 'spin'; known: flip, autoaugment, crop:NUMBER"),
        (["--split-file", "nowhere.csv"], 1, "nowhere.csv cannot be read"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    pictures: Path, tmp_path: Path, options: list[str], code: int, says: str
) -> None:
    added = cil_data("add", "pets", pictures, "--data-dir", tmp_path, *options)
    assert added.exit_code == code
    assert says in " ".join(added.stderr.replace("│", " ").split())


def test_verifying_names_a_file_that_changed(pictures: Path, tmp_path: Path) -> None:
    cil_data("add", "pets", pictures, "--data-dir", tmp_path)
    Image.new("RGB", (10, 10)).save(pictures / "test" / "ant" / "1.png")
    verified = cil_data("verify", "--data-dir", tmp_path)
    assert verified.exit_code == 1
    assert f"{pictures}/test/ant/1.png is not the image that was registered" in verified.stderr


def test_verifying_without_names_checks_everything_that_is_here(tmp_path: Path) -> None:
    verified = cil_data("verify", "--data-dir", tmp_path)
    assert verified.exit_code == 0
    assert [line.split(":")[0] for line in verified.stdout.splitlines()] == ["digits"]


def test_a_dataset_that_is_not_here_cannot_be_verified(tmp_path: Path) -> None:
    verified = cil_data("verify", "cifar100", "--data-dir", tmp_path)
    assert verified.exit_code == 1
    assert "cifar100 is not on this machine; `cil data fetch cifar100` gets it" in verified.stderr


def test_what_comes_with_the_installation_need_not_be_fetched(tmp_path: Path) -> None:
    assert cil_data("fetch", "digits", "--data-dir", tmp_path).stdout == "digits: on this machine\n"


def test_fetching_something_unknown_is_refused_with_what_is_known(tmp_path: Path) -> None:
    fetched = cil_data("fetch", "cifar1000", "--data-dir", tmp_path)
    assert fetched.exit_code == 1
    assert "unknown dataset 'cifar1000'; known here: cars196, cifar10, cifar100, " in fetched.stderr


def test_the_list_is_a_table_of_every_dataset(tmp_path: Path) -> None:
    lines = cil_data("list", "--data-dir", tmp_path).stdout.splitlines()
    assert any("digits" in line and "8×8×1" in line and "yes" in line for line in lines)
    assert any("cifar100" in line and "50000" in line and "no" in line for line in lines)


def test_importing_the_commands_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'sqlalchemy', 'pydantic', 'numpy'}"
    code = f"import sys, workers.cli.data_commands; print(*sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == ""
    )


def test_the_images_of_a_few_shot_track_are_listed(tmp_path: Path) -> None:
    listed = cil_data("images", "digits-b4-inc2-m0-convnet-shot5", "--data-dir", tmp_path)
    assert listed.exit_code == 0, listed.output
    header, *rows = listed.stdout.splitlines()
    classes = [int(row.split(",")[0]) for row in rows]
    assert header == "class,image"
    assert sorted(classes.count(label) for label in range(10))[:6] == [5] * 6
    assert len(rows) == len(set(rows))


def test_the_images_of_what_is_no_track_are_refused(tmp_path: Path) -> None:
    refused = cil_data("images", "digits-shot5", "--data-dir", tmp_path)
    assert refused.exit_code == 2
    assert "is not a track slug" in refused.output
