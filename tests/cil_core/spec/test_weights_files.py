"""Files of weights: found, checked once, remembered, fetched."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cil_core.spec.catalog import WEIGHTS, WeightsCard
from cil_core.spec.errors import DataError, DataUnavailable
from cil_core.spec.weights import weights_directory
from cil_core.spec.weights_files import fetch, is_usable, locate, state, verified

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def card(**changes: Any) -> WeightsCard:
    return WeightsCard.model_validate(WEIGHTS["vit_b16-dino"].model_dump() | {"name": "mine"} | changes)


def put(root: Path, content: bytes = CONTENT) -> Path:
    file = weights_directory(root) / card().file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_file_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    assert (locate(card(), tmp_path), state(card(), tmp_path)) == (None, "missing")
    with pytest.raises(
        DataUnavailable, match=r"`cil weights fetch vit_b16-mine` downloads https://.* put the"
    ):
        verified(card(), tmp_path)
    with pytest.raises(DataUnavailable, match="no address is known for the weights vit_b16-mine"):
        list(fetch(card(url=None), tmp_path))


def test_a_file_is_checked_when_it_is_first_used(tmp_path: Path) -> None:
    file = put(tmp_path)
    assert state(card(), tmp_path) == "not checked"
    found = verified(card(sha256=SHA256, bytes=len(CONTENT)), tmp_path)
    assert (found.path, found.sha256) == (file, SHA256)
    assert state(card(), tmp_path) == "here"


def test_the_beginning_of_a_checksum_is_enough(tmp_path: Path) -> None:
    put(tmp_path)
    assert verified(card(sha256=SHA256[:8]), tmp_path).sha256 == SHA256


def test_a_file_of_another_size_or_checksum_is_damaged(tmp_path: Path) -> None:
    put(tmp_path)
    assert state(card(bytes=3), tmp_path) == "damaged"
    with pytest.raises(DataError, match="it has 7000 bytes, not 3"):
        verified(card(bytes=3), tmp_path)
    with pytest.raises(DataError, match=rf"its SHA-256 is {SHA256}, not 0{{64}} as published"):
        verified(card(sha256="0" * 64), tmp_path)


def test_without_a_published_checksum_the_first_file_is_kept_to(tmp_path: Path) -> None:
    put(tmp_path)
    assert verified(card(), tmp_path).sha256 == SHA256
    put(tmp_path, b"other" * 1400)
    with pytest.raises(DataError, match=rf"not {SHA256} as first used here"):
        verified(card(), tmp_path)


def test_an_unchanged_file_is_not_read_again_unless_it_is_asked_for(tmp_path: Path) -> None:
    file = put(tmp_path)
    verified(card(), tmp_path)
    seen = file.stat()
    file.write_bytes(CONTENT[::-1])
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert verified(card(), tmp_path).sha256 == SHA256
    with pytest.raises(DataError, match="is damaged"):
        verified(card(), tmp_path, again=True)


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    file = put(tmp_path)
    file.with_name(f"{file.name}.sha256").write_text("{")
    with pytest.raises(DataError, match=r"pth\.sha256 is damaged"):
        verified(card(), tmp_path)


def test_a_packaged_file_is_used_where_it_lies(tmp_path: Path) -> None:
    packaged = WEIGHTS["efficientnet_lite0-in1k"]
    found = verified(packaged, tmp_path)
    assert found.path.parent.name == "models"
    assert found.sha256 == packaged.sha256
    assert is_usable(packaged, tmp_path)


def test_weights_without_their_library_or_file_are_not_usable(tmp_path: Path) -> None:
    assert not is_usable(card(), tmp_path)
    put(tmp_path)
    assert is_usable(card(), tmp_path)
    code = (
        "import sys; sys.modules['timm'] = None\n"
        "from pathlib import Path\n"
        "from cil_core.spec.catalog import WEIGHTS\n"
        "from cil_core.spec.weights_files import is_usable\n"
        "sys.exit(is_usable(WEIGHTS['efficientnet_lite0-in1k'], Path('.')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
