"""What a terminal shows: whole words, no control characters of strangers, every encoding, every width."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

from api.shared.printable import printable, printable_json
from tests.api.client.conftest import DIGITS, HOSTILE, LONG_TRACK, SHOWN

SMALL_TRACK = "digits-b4-inc3-m50-convnet"
WIDTHS = ("60", "80")
COMMANDS = {
    "jobs": ("jobs",),
    "job": ("show", "{job}"),
    "failed job": ("show", "{failed}"),
    "run": ("show", "{run}"),
    "cancel": ("cancel", "{cancelled}"),
    "leaderboard": ("leaderboard", DIGITS),
    "status": ("status",),
    "compare": ("compare", "{entry}", "{other}"),
    "ranks": ("compare", "-t", DIGITS, "-t", SMALL_TRACK),
    "methods": ("methods",),
    "method": ("methods", "icarl"),
    "tracks": ("tracks",),
    "suites": ("suite", "list"),
    "suite": ("suite", "show", "digits-orders"),
    "suite run": ("suite", "run", "--help"),
    "watch": ("watch", "{job}"),
}
WHOLE = {
    "jobs": lambda busy: [*busy.jobs, DIGITS, LONG_TRACK, "der-wa"],
    "job": lambda busy: [busy.jobs[-1], *busy.runs[-3:], DIGITS, "succeeded"],
    "failed job": lambda busy: [busy.jobs[1], *busy.runs[1:3], LONG_TRACK, "failed"],
    "run": lambda busy: [busy.runs[-1], DIGITS, "worker-1", "succeeded"],
    "leaderboard": lambda busy: [DIGITS, "iCaRL", "Finetune", "DER-WA", "temperature=3.0"],
    "status": lambda busy: ["worker-of-a-host-with-a-long-name-1", "lwf, seed 1994", "killed by SIGKILL"],
    "compare": lambda busy: [DIGITS, "Replay (small)", "Finetune (small)"],
    "ranks": lambda busy: ["Replay", "iCaRL"],
    "methods": lambda busy: ["simplecil", "DER++ (dark experience replay)"],
    "method": lambda busy: ["first_task", "nme_flip", "herding_greedy"],
    "tracks": lambda busy: [DIGITS, LONG_TRACK, "imagenet1000-b0-inc100-m20000-resnet18_imagenet"],
    "suites": lambda busy: ["digits-orders", "cifar100-survey"],
    "suite": lambda busy: [f"{DIGITS}-order1994", "der-wa"],
}
"""By command: words that its output contains unbroken."""


def arguments(name: str, busy) -> list[str]:
    known = {
        "job": busy.jobs[-1],
        "failed": busy.jobs[1],
        "run": busy.runs[-1],
        "cancelled": busy.jobs[-1],
        "entry": busy.entries[0],
        "other": busy.entries[1],
    }
    return [argument.format(**known) for argument in COMMANDS[name]]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", WHOLE)
def test_ids_and_names_are_whole_and_lines_fit(name, width, busy, process) -> None:
    done = process(*arguments(name, busy), COLUMNS=width, **busy.environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.split("\n")
    assert [line for line in lines if cell_len(line) > int(width)] == []
    assert [word for word in WHOLE[name](busy) if not any(word in line for line in lines)] == []


@pytest.mark.parametrize("name", ["jobs", "leaderboard"])
def test_a_file_gets_every_column_in_one_line_per_row(name, busy, process) -> None:
    done = process(*arguments(name, busy), **busy.environment)
    assert "Not shown" not in done.stdout
    assert not re.search(r"^    ", done.stdout, re.MULTILINE)


def test_columns_that_are_left_out_are_named(busy, process) -> None:
    done = process("leaderboard", DIGITS, COLUMNS="60", **busy.environment)
    note = done.stdout[done.stdout.index("Not shown in this width:") :]
    assert set(re.split(r",\s+", note.partition(":")[2].strip(" \n."))) >= {"exemplars", "train s"}


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *((name, "ascii") for name in COMMANDS),
        ("jobs", "utf-8"),
        ("status", "latin-1"),
        ("leaderboard", "cp1252"),
    ],
)
def test_a_strangers_text_cannot_control_the_terminal(name, encoding, busy, process) -> None:
    done = process(*arguments(name, busy), PYTHONIOENCODING=encoding, COLUMNS="200", **busy.environment)
    assert "Traceback" not in done.stderr
    for text in (done.stdout, done.stderr):
        assert printable(text.replace("\n", "")) == text.replace("\n", "")


@pytest.mark.parametrize("name", ["jobs", "failed job", "status"])
def test_a_strangers_text_is_shown_escaped_and_its_markup_literally(name, busy, process) -> None:
    assert SHOWN in process(*arguments(name, busy), COLUMNS="200", **busy.environment).stdout


def test_json_escapes_control_characters_and_keeps_the_text(busy, process) -> None:
    done = process("jobs", "--json", **busy.environment)
    assert printable_json(done.stdout) == done.stdout
    assert HOSTILE in [job["name"] for job in json.loads(done.stdout)["items"]]
    ascii_only = process("jobs", "--json", PYTHONIOENCODING="ascii", **busy.environment)
    assert json.loads(ascii_only.stdout) == json.loads(done.stdout)


def test_characters_that_the_encoding_lacks_are_spelled(busy, process) -> None:
    shown = process("leaderboard", DIGITS, PYTHONIOENCODING="ascii", COLUMNS="200", **busy.environment).stdout
    assert re.search(r"Finetune +small +92\.0 \+- 2\.5", shown)
    assert "88888" in shown
    assert "±" in process("leaderboard", DIGITS, PYTHONIOENCODING="latin-1", **busy.environment).stdout


@pytest.mark.parametrize("name", ["methods", "suites"])
def test_a_closed_pipe_ends_a_command_quietly(name, busy, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api.client", *arguments(name, busy)]
    environment = os.environ | busy.environment | {"HOME": str(tmp_path)}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment, text=True)
    os.close(writing)
    assert not re.search("Traceback|Exception|Error", done.stderr)


def test_a_full_disk_is_named(busy, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api.client", "jobs"]
    environment = os.environ | busy.environment | {"HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, text=True)
    assert (done.returncode, done.stderr) == (1, "standard output: No space left on device\n")


def test_times_are_local_and_name_their_zone(busy, process) -> None:
    created = json.loads(process("jobs", "--json", **busy.environment).stdout)["items"][0]["created_at"]
    moment = datetime.fromisoformat(created).astimezone(UTC)
    shown = process("jobs", TZ="UTC", **busy.environment).stdout
    assert f"{moment:%Y-%m-%d %H:%M} UTC" in shown
    shown = process("jobs", TZ="XYZ-5:30", **busy.environment).stdout
    assert re.search(r"\d\d:\d\d XYZ", shown)
    assert f"{moment:%H:%M} XYZ" not in shown


def test_a_terminal_that_is_watched_shows_whole_words(busy, tmp_path: Path) -> None:
    """Progress is a live table on a real pseudo-terminal of 80 columns."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "api.client", "watch", busy.jobs[-1]]
    environment = os.environ | busy.environment | {"HOME": str(tmp_path), "COLUMNS": "80", "TERM": "xterm"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=follower, env=environment, text=True)
    os.close(follower)
    shown = b""
    try:
        while data := os.read(leader, 65_536):
            shown += data
    except OSError:
        pass  # how Linux reports the end of a pseudo-terminal
    os.close(leader)
    assert done.returncode == 0
    assert busy.jobs[-1].encode() in shown
    assert b"5/5" in shown
