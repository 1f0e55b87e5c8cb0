"""What a submitted file may try, and how its run ends."""

from __future__ import annotations

import pytest

from cil_core.spec.errors import Diverged, MethodError, RuleBroken
from tests.workers.arena.submissions import TWO_TASKS, Examine, evaluations, spec_of

LEARNS = """
class Changed(METHOD):
    def consolidate(self, task):
{body}

METHOD = Changed
"""

ANSWERS = """
from workers.arena import candidate
import torch

def answers(method, images):
{body}

candidate.best_classes = answers
"""

SAY = """
import os, json
def say(line):
    for fd in os.listdir("/proc/self/fd"):
        if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:") and int(fd) > 2:
            os.write(int(fd), line.encode() + b"\\n")
            return
"""


def learns(body: str) -> str:
    return LEARNS.format(body="\n".join(f"        {line}" for line in body.splitlines()))


def answers(body: str) -> str:
    return ANSWERS.format(body="\n".join(f"    {line}" for line in body.splitlines()))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(
            learns("self.memory.replace(task.train)"), "keeps .* exemplars; its budget allows 60", id="budget"
        ),
        pytest.param(
            learns("self.remember = lambda task: setattr(self.memory, 'images', task.train.images.float())"),
            "exemplars are float32",
            id="type",
        ),
        pytest.param(
            learns("self.register_buffer('hoard', __import__('torch').arange(3e5))"),
            "it keeps .* bytes; 1000000 are allowed",
            id="bytes",
        ),
        pytest.param(
            SAY + learns('say(\'{"kind": "task_evaluated", "task": 0}\')'),
            "which is no message",
            id="forged result",
        ),
        pytest.param(SAY + learns("say('[' * 1000)"), "which is no message", id="nonsense"),
        pytest.param(SAY + learns("say('x' * 70000)"), "bytes", id="long line"),
        pytest.param(
            SAY
            + learns(
                'say(\'{"kind": "learned", "parameters": 1, "backbone_parameters": 1, "diagnostics": {}}\')'
            ),
            "after its last one",
            id="message after the last one",
        ),
        pytest.param(
            SAY
            + learns(
                'say(\'{"kind": "epoch", "event": {"task": 5, "phase": "fit", "epoch": 0, "epochs": 1, '
                '"lr": 1, "losses": {}}}\')'
            ),
            "epoch of task 5 in task 0",
            id="epoch of another task",
        ),
        pytest.param(
            SAY + learns('say(\'{"kind": "answered", "classifiers": ["linear"]}\'); os._exit(0)'),
            "ended without the message 'learned'",
            id="message of another action",
        ),
        pytest.param(learns("import os; os._exit(0)"), "ended without the message 'learned'", id="silence"),
        pytest.param(learns("while True: pass"), "took longer than 4 s", id="endless"),
        pytest.param(
            answers("return {'linear': torch.zeros(len(images), 5, dtype=torch.int32)}"),
            "one class twice",
            id="a class twice",
        ),
        pytest.param(
            answers("return {'linear': torch.arange(6).repeat(len(images), 1).int()}"),
            "answers take",
            id="six guesses",
        ),
        pytest.param(
            answers("return {'linear': torch.arange(1, 6).repeat(len(images), 1).int()}"),
            "classes outside 0 … 4",
            id="a class to come",
        ),
        pytest.param(
            answers("return {'nme': torch.arange(5).repeat(len(images), 1).int()}"),
            "answers with nme; its recipe names linear",
            id="another classifier",
        ),
        pytest.param(
            """
import fcntl, os
for fd in range(3, 20):
    path = f"/proc/self/fd/{fd}"
    if os.path.lexists(path) and "memfd:result" in os.readlink(path):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
""",
            "sealed or mapped its result",
            id="sealed result",
        ),
        pytest.param("RECIPE.title = 'Another'", "defines another about of its recipe", id="another title"),
        pytest.param("RECIPE.presets = {}", "defines another presets of its recipe", id="other presets"),
    ],
)
def test_a_broken_rule_ends_the_run_with_the_rule(examined: Examine, changes: str, reason: str) -> None:
    method = "finetune" if "best_classes" in changes else "replay"
    with pytest.raises(RuleBroken, match=reason):
        list(examined(spec_of(method, TWO_TASKS), changes, learn_seconds=4, state_bytes=10**6))


def test_an_exception_of_the_file_carries_its_line(examined: Examine) -> None:
    with pytest.raises(MethodError, match="ZeroDivisionError: division by zero") as failed:
        list(examined(spec_of("replay", TWO_TASKS), learns("1 / len(task.train.labels[:0])")))
    assert any("1 / len(task.train.labels[:0])" in line for line in failed.value.traceback)


def test_an_exception_cannot_control_the_terminal(examined: Examine) -> None:
    with pytest.raises(MethodError) as failed:
        list(examined(spec_of("replay", TWO_TASKS), "raise ValueError('\\x1b[2J \\u202e fine ä')"))
    assert str(failed.value) == "ValueError: \\x1b[2J \\u202e fine ä"


def test_a_file_that_cannot_be_imported_fails(examined: Examine) -> None:
    with pytest.raises(MethodError, match="ModuleNotFoundError"):
        list(examined(spec_of("replay", TWO_TASKS), "import no_such_package"))


def test_a_crash_names_its_signal(examined: Examine) -> None:
    with pytest.raises(MethodError, match="crashed with SIGSEGV"):
        list(examined(spec_of("replay", TWO_TASKS), "import ctypes; ctypes.string_at(0)"))


def test_a_kill_from_outside_is_a_fault_of_the_machine(examined: Examine) -> None:
    with pytest.raises(ChildProcessError, match="SIGKILL"):
        list(examined(spec_of("replay", TWO_TASKS), learns("import os; os.kill(os.getpid(), 9)")))


def test_an_infinite_loss_is_a_divergence(examined: Examine) -> None:
    changes = """
class Changed(METHOD):
    def losses(self, batch, step):
        return {"infinite": self.net(batch.x).logits.sum() * float("inf")}

METHOD = Changed
"""
    with pytest.raises(Diverged, match="task 1"):
        list(examined(spec_of("replay", TWO_TASKS), changes))


def test_what_a_method_keeps_is_the_length_of_its_state(examined: Examine) -> None:
    spec = spec_of("finetune", TWO_TASKS)
    plain = evaluations(examined(spec))[-1].footprint.kept_bytes
    hoards = (
        learns("self.register_buffer('hoard', __import__('torch').arange(1000.0))")
        + """
def match(self, state):
    METHOD.__mro__[1].match_structure(self, state)
    if "hoard" in state:
        self.register_buffer("hoard", state["hoard"].clone())

METHOD.match_structure = match
"""
    )
    kept = evaluations(examined(spec, hoards))[-1].footprint.kept_bytes
    assert 4000 <= kept - plain < 4100


def test_a_process_leaves_no_trace_for_the_next_one(examined: Examine) -> None:
    changes = learns(
        "import sys\nassert not hasattr(sys, 'hidden')\nsys.hidden = task.train\n"
        "import cil_core.engine.run as engine\nassert not hasattr(engine, 'hidden')\nengine.hidden = 1"
    )
    assert len(evaluations(examined(spec_of("finetune", TWO_TASKS), changes))) == 2


def test_a_learner_holds_the_labels_of_its_task_alone(examined: Examine) -> None:
    changes = learns("""
import gc, os, sys, torch
new = set(range(task.known, task.seen))
assert set(task.train.labels.tolist()) == new
tensors = [each for each in gc.get_objects() if isinstance(each, torch.Tensor) and each.dtype == torch.int64]
assert not [each for each in tensors if each.ndim == 1 and len(each) > 200 and set(each.tolist()) - new]
assert "sklearn.datasets" not in sys.modules
paths = [f"/proc/self/fd/{fd}" for fd in range(3, 30)]
links = {os.readlink(path).split(" ")[0] for path in paths if os.path.lexists(path)}
files = {link for link in links if not link.startswith("pipe:")}
# the state of the previous task is the result of its learner
assert files == {"/memfd:order", "/memfd:result", "/memfd:training"}, files
""")
    assert len(evaluations(examined(spec_of("finetune", TWO_TASKS), changes))) == 2


def test_the_place_of_a_test_image_says_nothing_about_its_class(examined: Examine) -> None:
    by_place = """
classes = method.net.classes
first = torch.arange(len(images)) * classes // len(images)
return {"linear": torch.stack([(first + i) % classes for i in range(5)], dim=1).int()}
"""
    last = evaluations(examined(spec_of("finetune", TWO_TASKS), answers(by_place)))[-1]
    assert 0.04 < sum(last.results["linear"].correct) / sum(last.test_images) < 0.17


def test_a_method_that_looks_at_other_test_images_is_noticed(examined: Examine) -> None:
    adapts = answers("""
shift = int(images.images.long().sum()) % method.net.classes
return {"linear": ((torch.arange(5) + shift).repeat(len(images), 1) % method.net.classes).int()}
""")
    last = evaluations(examined(spec_of("finetune", TWO_TASKS), adapts, repeated=0.3))[-1]
    assert last.diagnostics["answers_changed_by_other_images"] > 0


def test_global_generators_and_sets_of_strings_repeat(examined: Examine) -> None:
    changes = learns("""
import random, torch, numpy
draws = [random.random(), torch.rand(1).item(), numpy.random.rand(), hash("text") % 1000]
self.diagnostics |= {f"draw_{i}": float(value) for i, value in enumerate(draws)}
""")
    first, second = (
        [event.diagnostics for event in evaluations(examined(spec_of("finetune", TWO_TASKS), changes))]
        for _ in range(2)
    )
    assert first == second
    assert first[0]["draw_0"] != first[1]["draw_0"]


def test_a_flood_of_output_changes_nothing(examined: Examine) -> None:
    flood = learns("for _ in range(300): print('x' * 10_000)")
    assert len(evaluations(examined(spec_of("finetune", TWO_TASKS), flood))) == 2
