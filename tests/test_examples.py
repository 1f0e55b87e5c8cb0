"""The examples run as their first lines say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_three_methods_from_submission_to_a_table_and_a_figure(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")} | {
        "OMP_NUM_THREADS": "1"
    }
    cil = [sys.executable, "-m", "api.client"]
    service = subprocess.Popen(
        [*cil, "up", "--port", "0", "--data-dir", str(tmp_path / "data")],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert service.stdout is not None
        assert "ready" in service.stdout.readline()
        known = json.loads((tmp_path / "data" / "connection.json").read_text())
        example = [sys.executable, str(ROOT / "examples" / "compare_methods.py"), str(tmp_path / "out")]
        environment |= {"CIL_SERVER": known["server"], "CIL_TOKEN": known["token"]}
        done = subprocess.run(
            example, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
    finally:
        service.terminate()
        service.communicate(timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("succeeded") == 3
    assert "percentage points of average accuracy over 3 seeds, p = " in done.stdout
    table = (tmp_path / "out" / "leaderboard.tex").read_text()
    assert [name in table for name in ("iCaRL", "WA", "Replay", r"\bottomrule")] == [True] * 4
    assert "<svg" in (tmp_path / "out" / "curves.svg").read_text()
