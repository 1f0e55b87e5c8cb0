"""The service under attack is the one of `tests/api`, with its fixtures."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("served_fixtures", Path(__file__).parents[1] / "api" / "conftest.py")
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items() if not name.startswith("__")})
