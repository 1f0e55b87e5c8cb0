"""Sentences of the pages: one test per sentence that depends on values."""

from __future__ import annotations

import pytest

from api.pages import formats, wording
from api.shared import numbers
from cil_core.spec.jobs import MemoryBudget, Protocol


@pytest.mark.parametrize(
    ("workers", "seconds", "position", "sentence"),
    [
        (0, 60.0, 3, "No worker is online; the run starts when one connects."),
        (1, None, 3, "1 worker is online."),
        (
            2,
            60.0,
            4,
            "2 workers are online; runs of the last hour took 1 min 0 s each. Expected start: in 2 min 0 s.",
        ),
    ],
)
def test_a_queued_job_names_workers_and_expected_start(workers, seconds, position, sentence):
    assert wording.outlook(workers, seconds, position) == sentence


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (MemoryBudget(kind="none"), "none"),
        (MemoryBudget(kind="total", amount=2000), "2000 exemplars"),
        (MemoryBudget(kind="per_class", amount=20), "20 exemplars per class"),
        (MemoryBudget(kind="bytes", amount=5), "5 bytes of exemplars"),
    ],
)
def test_a_memory_budget_has_a_unit(budget, text):
    assert wording.memory_budget(budget) == text


@pytest.mark.parametrize(
    ("agrees", "bitwise", "difference", "sentence"),
    [
        (None, None, None, "is in progress."),
        (True, True, 0.0, "reproduced every count."),
        (True, False, 0.001, "agrees: its curves differ by at most 0.10 points."),
        (False, False, 0.2, "does not agree: its curves differ by at most 20.00 points."),
    ],
)
def test_a_replay_has_an_outcome(agrees, bitwise, difference, sentence):
    assert wording.replay_outcome(agrees, bitwise, difference) == sentence


def test_a_filter_that_matches_nothing_is_named():
    assert wording.filtered_to_nothing(True, "nme") == (
        "No finished entry without exemplars and with the classifier nme."
    )
    assert wording.filtered_to_nothing(False, "nme") == "No finished entry with the classifier nme."


def test_equal_tasks_have_one_size():
    assert wording.task_sizes(Protocol(first=10, increment=10)) == "10 classes per task"
    assert wording.task_sizes(Protocol(first=50, increment=5)) == (
        "50 classes in the first task, then 5 per task"
    )


def test_an_expired_lease_says_so():
    assert wording.lease(2, 0.0) == "attempt 2, lease expired"
    assert wording.lease(1, 30.0) == "attempt 1, lease expires in 30 s"


@pytest.mark.parametrize(("number", "text"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries")])
def test_nouns_agree_with_their_number(number, text):
    assert formats.counted(number, "entry", "entries") == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0123, "+1.23"), (-0.01, "−1.00"), (0.0, "+0.00")]
)
def test_differences_have_a_sign(value, text):
    assert formats.points(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.0004, "< 0.001"), (0.04567, "0.0457")])
def test_small_p_values_are_bounds(value, text):
    assert numbers.p_value(value) == text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("one\u2028two\x07", "one\\u2028two\\x07"),
        ("one\ntwo\n", "one\ntwo\n"),
        ("Müller – 名前 🎉", "Müller – 名前 🎉"),
    ],
)
def test_invisible_controls_are_shown_as_escapes(given, shown):
    assert formats.visible(given) == shown
