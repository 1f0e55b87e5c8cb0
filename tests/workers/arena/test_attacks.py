"""Every attack of `tests/attacks` in the sandbox of this machine: refused, counted, or without effect."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from cil_core.data import digits
from cil_core.data.order import class_order
from cil_core.spec.errors import EngineError, MethodError, RuleBroken
from cil_core.spec.events import TaskEvaluated
from cil_core.spec.jobs import Track
from tests.workers.arena.submissions import MACHINE, TWO_TASKS, evaluations, spec_of
from workers.arena.examiner import examine
from workers.arena.fork_server import ForkServer
from workers.arena.submission import Limits, Submission
from workers.sandbox import Mode

ATTACKS = Path(__file__).parents[2] / "attacks"
Attack = Callable[..., list[TaskEvaluated]]


@pytest.fixture
def attack(server: ForkServer, mode: Mode) -> Iterator[Attack]:
    """Runs an attack by name and returns its evaluations; afterwards nothing may be left of it."""

    def run(
        name: str, change: Callable[[str], str] = str, track: str = TWO_TASKS, **limits: Any
    ) -> list[TaskEvaluated]:
        source = change((ATTACKS / f"{name}.py").read_text())
        spec = spec_of("replay" if '"replay"' in source else "finetune", track)
        bounds = {"sandbox": mode, "memory_bytes": 2**30, "learn_seconds": 60, "repeated": 0, **limits}
        return evaluations(examine(spec, Submission(source, spec.method), MACHINE, server, Limits(**bounds)))

    before = left_behind()
    yield run
    assert left_behind() == before
    assert psutil.Process(server.pid).children(recursive=True) == []


def left_behind() -> set[Path]:
    """Files that an attack may have made."""
    places = map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/run", "/"))
    return {path for place in places for path in place.glob("*kept*")}


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("overspends", RuleBroken, "keeps .* exemplars; its budget allows 60"),
        ("lies", RuleBroken, "no message"),
        ("invents", RuleBroken, "answers"),
        ("bad_state", RuleBroken, "no state file"),
        ("spins", RuleBroken, "took longer than 4 s"),
        ("floods", RuleBroken, "took longer than 4 s"),
        ("hogs", MethodError, "Cannot allocate memory"),
        ("threads", MethodError, "can't start new thread"),
    ],
)
def test_the_run_fails_with_the_reason(
    attack: Attack, name: str, error: type[EngineError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        attack(name, learn_seconds=4)


def test_nothing_of_other_tasks_is_in_the_process(attack: Attack) -> None:
    assert len(attack("peeks")) == 2


def test_nothing_hidden_is_found_again(attack: Attack) -> None:
    rows = attack("hides")
    assert [row.diagnostics["recovered"] for row in rows] == [0, 0]
    assert all(row.diagnostics["hidden"] > 0 for row in rows)


def test_hoarded_images_are_counted(attack: Attack) -> None:
    first, second = (evaluation.footprint for evaluation in attack("hoards"))
    images = (
        len(digits.read()[2]) // 4
    )  # half of the training images are held out, and a task has half of them
    assert second.kept_bytes - first.kept_bytes == pytest.approx(64 * images, rel=0.1)
    assert second.exemplars == 0


def test_a_result_cannot_be_sealed_by_its_author(attack: Attack) -> None:
    assert [row.diagnostics["sealed"] for row in attack("seals")] == [0, 0]


def test_the_order_of_test_images_tells_nothing(attack: Attack) -> None:
    last = attack("uses_order")[-1]
    right = sum(last.results["linear"].correct) / sum(last.test_images)
    assert abs(right - 0.1) < 0.05  # of ten classes


def test_looking_at_the_other_test_images_is_shown(attack: Attack) -> None:
    diagnostics = attack("adapts", repeated=1.0)[-1].diagnostics
    assert diagnostics["answers_changed_by_other_images"] > 0.005


def test_a_table_of_a_public_test_set_is_not_stopped(attack: Attack) -> None:
    """It is limit U1 of docs/sandbox.md: files are short, public, and audited on a fresh split."""
    images, labels, _, _ = digits.read()
    places = {
        label: place for place, label in enumerate(class_order(Track.from_slug(TWO_TASKS).protocol, 10))
    }
    weights = np.arange(1, 65)
    keys = (images.reshape(-1, 64).astype(int) ** 2 @ weights).tolist()
    table = dict(zip(keys, (places[label] for label in labels.tolist()), strict=True))
    last = attack("recalls", lambda source: source.replace("TABLE = {}", f"TABLE = {table}"))[-1]
    assert last.results["linear"].correct == pytest.approx(last.test_images, abs=2)  # two keys may be equal


def test_the_search_of_the_spy_finds_what_the_examiner_holds() -> None:
    code: dict[str, Any] = {}
    exec((ATTACKS / "peeks.py").read_text(), code)
    task = SimpleNamespace(known=0, seen=5, train=range(100))
    assert "workers.arena.examiner" in [*code["foreign"](task)]


def test_the_fork_server_holds_nothing_of_a_dataset(server: ForkServer) -> None:
    images = digits.read()[0]
    needles = [images[row].tobytes() for row in (0, 500, 1000, 1796)]
    assert found_in(os.getpid(), needles) == set(needles)
    assert found_in(server.pid, needles) == set()
    assert "sklearn/datasets/data" not in Path(f"/proc/{server.pid}/maps").read_text()


def found_in(pid: int, needles: list[bytes]) -> set[bytes]:
    """The needles that are anywhere in the memory of a process."""
    found: set[bytes] = set()
    regions = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for bounds, rights, *_ in regions:
            if rights.startswith("rw") and found != set(needles):
                start, end = (int(bound, 16) for bound in bounds.split("-"))
                memory.seek(start)
                content = memory.read(end - start)
                found |= {needle for needle in needles if needle in content}
    return found
