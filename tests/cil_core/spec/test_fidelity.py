"""Every preset that follows a source is on the page of fidelity."""

from __future__ import annotations

import pytest

from cil_core.spec import fidelity
from cil_core.spec.evidence import EVIDENCE
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.suites import SURVEYED, SURVEYED_HALF_BASE


@pytest.mark.parametrize("name", BY_NAME)
def test_every_preset_that_follows_a_source_states_what_was_compared(name: str) -> None:
    assert set(EVIDENCE[name]) == set(fidelity.sourced_presets(BY_NAME[name]))


@pytest.mark.parametrize("name", [name for name, kind in BY_NAME.items() if kind.citation])
def test_every_published_method_states_what_differs(name: str) -> None:
    assert BY_NAME[name].differs.endswith(".")


def test_nothing_known_is_no_statement() -> None:
    assert not [name for name, kind in BY_NAME.items() if "nothing known" in kind.differs.lower()]


def test_presets_that_compare_with_the_survey_exist() -> None:
    for method, preset in [*SURVEYED.items(), *SURVEYED_HALF_BASE.items()]:
        assert preset == "default" or preset in BY_NAME[method].presets
