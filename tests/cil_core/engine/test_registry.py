"""From a recipe's name to its module."""

from __future__ import annotations

import pytest

from cil_core.engine.registry import method_class, module_name
from cil_core.spec.recipes import BY_NAME


@pytest.mark.parametrize(("name", "module"), [("icarl", "icarl"), ("der-wa", "der_wa"), ("pass", "pass_")])
def test_a_name_gives_a_module_that_python_can_import(name: str, module: str) -> None:
    assert module_name(name) == f"cil_core.methods.{module}"


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_method_documents_what_it_reports(name: str) -> None:
    method = method_class(name)
    assert method.__doc__ is not None
    assert "Reports:" in method.__doc__


def test_an_unknown_name_has_no_module() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"cil_core\.methods\.nothing"):
        method_class("nothing")
