"""A method gives the same result in the engine's one process and in the arena's many."""

from __future__ import annotations

import pytest

from cil_core.engine.run import run
from cil_core.spec.events import EpochFinished, RunFinished, TaskEvaluated
from cil_core.spec.recipes import BY_NAME
from tests.workers.arena.submissions import MACHINE, THREE_TASKS, TWO_TASKS, Examine, evaluations, spec_of
from workers.sandbox import Mode, available

QUICK = ("derpp", "der", "ewc", "icarl", "pass")
"""A reservoir with its logits, growing networks, importances, a teacher with two classifiers, prototypes."""

NOT_KEPT = {"foster": {"boosted"}}
"""Curves of what a method does not keep: the arena tests what the state holds."""

EXAMINABLE = sorted(name for name, recipe in BY_NAME.items() if recipe.pretrained != "required")
"""The arena refuses tracks with pre-trained weights."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.nightly]) for name in EXAMINABLE],
)
def test_the_engine_and_the_arena_agree_bit_for_bit(examined: Examine, name: str) -> None:
    spec = spec_of(name, TWO_TASKS if name in QUICK else THREE_TASKS)
    expected, found = [*run(spec, MACHINE)], [*examined(spec)]
    assert [event for event in found if isinstance(event, EpochFinished)] == [
        event for event in expected if isinstance(event, EpochFinished)
    ]
    skipped = NOT_KEPT.get(name, set())
    for there, here in zip(evaluations(expected), evaluations(found), strict=True):
        kept = {curve: counts for curve, counts in there.results.items() if curve not in skipped}
        assert {curve: here.results[curve] for curve in kept} == kept
        assert here.footprint.exemplars == there.footprint.exemplars
        assert here.test_images == there.test_images
    assert isinstance(found[-1], RunFinished)
    assert isinstance(expected[-1], RunFinished)
    assert skipped or found[-1].matrix_digest == expected[-1].matrix_digest
    assert found[0] == expected[0]


@pytest.mark.parametrize("mode", [*Mode])
def test_the_sandbox_changes_no_result(examined: Examine, mode: Mode) -> None:
    if fault := available()[mode]:
        pytest.skip(fault)
    spec = spec_of("icarl", TWO_TASKS)
    assert [*examined(spec, sandbox=mode, memory_bytes=2**31)] == [*examined(spec)]


def test_an_honest_method_answers_alike_in_other_company(examined: Examine) -> None:
    *_, last, _ = examined(spec_of("icarl", TWO_TASKS), repeated=1.0)
    assert isinstance(last, TaskEvaluated)
    assert last.diagnostics["answers_changed_by_other_images"] == 0
