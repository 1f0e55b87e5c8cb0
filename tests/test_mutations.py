"""Each mutation names a file, a line and a test that exist. `make mutations` applies them."""

from __future__ import annotations

import ast

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.row)
def test_a_mutation_fits_the_code(mutation: Mutation) -> None:
    content = (ROOT / mutation.file).read_text()
    assert content.count(mutation.line) >= 1, f"{mutation.file} no longer contains {mutation.line!r}"
    ast.parse(content.replace(mutation.line, mutation.without, 1))
    path, _, name = mutation.test.partition("::")
    tests = {
        node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)
    }
    assert not name or name in tests, f"{path} no longer contains {name}"
