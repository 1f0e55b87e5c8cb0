"""Directories and split files: which files are images, of which class, and what is skipped or refused."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from cil_core.data.listing import Found, list_images, numbered
from cil_core.spec.errors import DataError, DataUnavailable


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes with one image per split; contents do not matter here."""
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            touch(tmp_path / "tree" / split / name / "0.png")
    return tmp_path / "tree"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def of(found: Found, split: str, name: str) -> list[str]:
    """Names of the files of a class."""
    return [file.name for file, label in found.files[split] if label == name]


def test_hidden_names_and_leftovers_are_skipped_at_every_depth_and_counted(tree: Path) -> None:
    for name in (
        ".ipynb_checkpoints/0-checkpoint.png",
        "deeper/.ipynb_checkpoints/1.png",
        "deeper/.2.png",
        "._3.png",
        "@eaDir/4.png/thumb.png",
        "__MACOSX/5.png",
    ):
        touch(tree / "train" / "ant" / name)
    touch(tree / "train" / ".cache" / "6.png")
    found = list_images(tree)
    assert of(found, "train", "ant") == ["0.png"]
    assert found.skipped == {
        "hidden folder .ipynb_checkpoints": 2,
        "hidden file": 2,
        "hidden folder @eaDir": 1,
        "hidden folder __MACOSX": 1,
        "hidden folder .cache": 1,
    }


def test_other_files_are_counted_by_kind(tree: Path) -> None:
    for name in ("a.txt", "b.TXT", "c.heic", "README", "d.jfif"):
        touch(tree / "train" / "ant" / name)
    touch(tree / "train" / "labels.csv")
    touch(tree / "val" / "ant" / "0.png")
    found = list_images(tree)
    assert of(found, "train", "ant") == ["0.png", "d.jfif"]
    assert found.skipped == {
        "other file (.txt)": 2,
        "picture in a format that cannot be read (.heic)": 1,
        "file without an ending": 1,
        "file beside the class folders": 1,
        "folder val beside train and test": 1,
    }


def test_a_class_of_unreadable_pictures_is_refused_with_what_was_skipped(tree: Path) -> None:
    touch(tree / "train" / "cat" / "0.heic")
    with pytest.raises(
        DataError, match=r"cat holds no image; skipped: 1 × picture in a format .* \(\.heic\)"
    ):
        list_images(tree)


def test_links_to_folders_and_files_are_followed(tree: Path, tmp_path: Path) -> None:
    touch(tmp_path / "more" / "deep" / "1.png")
    (tree / "train" / "ant" / "more").symlink_to(tmp_path / "more")
    (tree / "train" / "ant" / "2.png").symlink_to(tmp_path / "more" / "deep" / "1.png")
    touch(tmp_path / "cats" / "3.png")
    for split in ("train", "test"):
        (tree / split / "cat").symlink_to(tmp_path / "cats")
        (tree / split / "dog").mkdir()
        (tree / split / "dog" / "images").symlink_to(tmp_path / "cats")
    found = list_images(tree)
    assert of(found, "train", "ant") == ["0.png", "2.png", "1.png"]
    assert of(found, "test", "cat") == of(found, "test", "dog") == ["3.png"]


def test_loops_of_links_end_and_are_counted(tree: Path) -> None:
    ant = tree / "train" / "ant"
    (ant / "itself").symlink_to(ant)
    (ant / "class_folders").symlink_to(tree / "train")
    (ant / "everything").symlink_to(tree)
    touch(ant / "a" / "1.png")
    touch(ant / "b" / "2.png")
    (ant / "a" / "to_b").symlink_to(ant / "b")
    (ant / "b" / "to_a").symlink_to(ant / "a")
    found = list_images(tree)
    assert sorted(of(found, "train", "ant")) == ["0.png", "1.png", "2.png"]
    assert found.skipped == {"link to a folder that is read already": 5}


@pytest.mark.parametrize("name", ["train/ant/9.png", "train/cat"])
def test_a_broken_link_is_refused_by_name(tree: Path, name: str) -> None:
    (tree / name).symlink_to("/nowhere/9.png")
    with pytest.raises(DataUnavailable, match=rf"{name} is a link to /nowhere/9\.png, which does not exist"):
        list_images(tree)


@pytest.mark.parametrize("name", ["train/ant/{}.png", "train/ant/{}", "train/{}"])
def test_links_that_lead_back_to_themselves_are_refused_by_name(tree: Path, name: str) -> None:
    one, other = (tree / name.format(number) for number in (8, 9))
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(DataUnavailable, match=rf"{one} is a link to {other}, which leads back to it"):
        list_images(tree)


def test_a_pipe_is_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "train" / "ant" / "9.png")
    assert list_images(tree).skipped == {"pipe, socket or device": 1}


def test_composed_and_decomposed_names_are_one_class(tree: Path) -> None:
    for split, form in (("train", "NFC"), ("test", "NFD")):
        touch(tree / split / unicodedata.normalize(form, "café") / "0.png")
    touch(tree / "train" / unicodedata.normalize("NFD", "café") / "1.png")
    found = list_images(tree)
    assert sorted(of(found, "train", "café")) == ["0.png", "1.png"]
    assert of(found, "test", "café") == ["0.png"]


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", b"caf\xe9".decode(errors="surrogateescape")])
def test_a_class_name_that_cannot_be_shown_is_refused(tree: Path, name: str) -> None:
    for split in ("train", "test"):
        touch(tree / split / name / "0.png")
    with pytest.raises(DataError, match="a class name has no control characters and is UTF-8"):
        list_images(tree)


def test_numeric_names_are_ordered_as_numbers_and_others_as_text() -> None:
    assert numbered(map(str, range(12))) == tuple(map(str, range(12)))
    assert numbered(["10", "9", "007"]) == ("007", "9", "10")
    assert numbered(["10", "9", "x"]) == ("10", "9", "x")
    assert numbered(["2", "10"], before=("10", "2")) == ("10", "2")
    assert numbered(["2", "10", "3"], before=("10", "2")) == ("2", "3", "10")


def test_what_earlier_versions_registered_is_listed_as_they_did(tree: Path, tmp_path: Path) -> None:
    touch(tree / "train" / "ant" / ".ipynb_checkpoints" / "1.png")
    touch(tree / "train" / "ant" / "2.gif")
    touch(tmp_path / "more" / "3.png")
    (tree / "train" / "ant" / "more").symlink_to(tmp_path / "more")
    assert of(list_images(tree, as_before=True), "train", "ant") == ["1.png", "0.png"]


# ------------------ split files

ROWS = [(f"{split}/{name}/0.png", name, split) for split in ("train", "test") for name in ("ant", "bee")]


def table(separator: str = ",", end: str = "\n", rows: list[tuple[str, ...]] | None = None) -> str:
    return end.join(separator.join(row) for row in [("path", "class", "split"), *(rows or ROWS)]) + end


@pytest.mark.parametrize(
    "content",
    [
        table().encode(),
        table(end="\r\n").encode("utf-8-sig"),
        table(";").encode("utf-8-sig"),
        table("\t").encode("utf-16"),
        ("sep=;\n" + table(";")).encode(),
        ("\n" + ",,\n").join(table().split("\n")).encode(),
        table(rows=[tuple(f'"{cell}"' for cell in row) for row in ROWS]).encode(),
        table(rows=[(path, f" {name} ", f" {split}") for path, name, split in ROWS]).encode(),
        b"note,split,class,path\n" + "".join(f"x,{s},{c},{p}\n" for p, c, s in ROWS).encode(),
    ],
    ids=[
        "plain",
        "BOM and CRLF",
        "semicolons",
        "UTF-16, tabs",
        "sep=",
        "blank lines",
        "quoted",
        "spaces",
        "columns",
    ],
)
def test_split_files_are_read_as_spreadsheets_write_them(tree: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "split.csv").write_bytes(content)
    assert list_images(tree, tmp_path / "split.csv").files == list_images(tree).files


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (table() + "test/bee/1.png,bee\n", "line 6: 2 cells, but the header has 3 (path, class, split)"),
        (table() + "test/bee/1.png,,test\n", "line 6, column class: the cell is blank"),
        (table() + " ,bee,test\n", "line 6, column path: the cell is blank"),
        (table() + "test/bee/1.png,bee,tes", "line 6, column split: 'tes' is neither 'train' nor 'test'"),
        (table() + "test/bee/1.png,bee,test,x\n", "line 6: 4 cells, but the header has 3"),
        (table() + '"test/bee/1.png,bee,test\n', "line 6: unexpected end of data"),
        (table() + "test/bee/1.png,b\x1bee,test\n", "line 6': a class name has no control characters"),
        ("", "line 1: the header is ''"),
        ("path,class\na,b\n", "line 1: the header is 'path,class'"),
        ("path,class,split,class\na,b,train,c\n", "line 1: the header is 'path,class,split,class'"),
        (table("|"), "line 1: the header is 'path|class|split'"),
        (table().encode() + b"caf\xe9,bee,test\n", "line 6: it is not UTF-8"),
        (table("\t").encode("utf-16-le"), "line 1: it holds NUL characters"),
        (table().encode("utf-16")[:-1], "it is not UTF-16"),
    ],
)
def test_a_fault_of_a_split_file_is_reported_with_its_place(
    tree: Path, tmp_path: Path, content: str | bytes, complaint: str
) -> None:
    file = tmp_path / "split.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as error:
        list_images(tree, file)
    assert str(file) in str(error.value)
    assert complaint in str(error.value)
