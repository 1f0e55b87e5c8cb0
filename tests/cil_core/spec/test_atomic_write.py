"""Files are replaced as a whole: real files, a real full disk, and the order of system calls."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cil_core.spec.atomic_write import PRIVATE, write_atomically


def test_new_content_replaces_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "first, and longer")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "café")
    assert (tmp_path / "file").read_bytes() == "café".encode()


def test_a_private_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "secret", mode=PRIVATE)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", "text")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_keeps_the_old_content_and_leaves_no_temporary_file(small_disk: Path) -> None:
    path = small_disk / "file"
    write_atomically(path, "old")
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"x" * 2**20)
    assert path.read_text() == "old"
    assert list(small_disk.iterdir()) == [path]


def test_content_is_flushed_before_the_rename_and_the_folder_after(tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
from cil_core.spec.atomic_write import write_atomically
sys.addaudithook(lambda name, args: name == "os.rename" and print("rename"))
flush = os.fsync
def fsync(descriptor):
    print("flush", os.path.basename(os.readlink(f"/proc/self/fd/{{descriptor}}"))[:5])
    flush(descriptor)
os.fsync = fsync
write_atomically(Path({str(tmp_path)!r}, "file"), "text")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ)
    assert done.stdout.split("\n")[:3] == ["flush .file", "rename", f"flush {tmp_path.name[:5]}"], done.stderr
