"""The page on fidelity is current, and every preset that follows a source is on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cil_core.spec import fidelity
from cil_core.spec.evidence import EVIDENCE
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.suites import SURVEYED, SURVEYED_HALF_BASE


def test_the_page_in_the_repository_is_current() -> None:
    fidelity.main(["--check"])


def test_a_page_that_is_out_of_date_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "fidelity.md"
    old.write_text("# How closely", encoding="utf-8")
    monkeypatch.setattr(fidelity, "PAGE", old)
    with pytest.raises(SystemExit, match=r"out of date; run `python -m cil_core\.spec\.fidelity`"):
        fidelity.main(["--check"])
    fidelity.main([])
    fidelity.main(["--check"])


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
