"""`examples/compare_methods.py` against a service whose runs finish at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "compare_methods.py"


def test_the_example_writes_a_table_and_a_figure(served, service, tmp_path: Path) -> None:
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            service.complete_all()
            time.sleep(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    environment = os.environ | {"CIL_SERVER": served.url, "CIL_TOKEN": service.token}
    command = [sys.executable, str(EXAMPLE), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    over.set()
    worker.join()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("succeeded") == 3
    assert "percentage points of average accuracy over 3 seeds, p = " in done.stdout
    assert r"\bottomrule" in (tmp_path / "leaderboard.tex").read_text()
    assert "<svg" in (tmp_path / "curves.svg").read_text()
