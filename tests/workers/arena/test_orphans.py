"""What SIGKILL leaves of a run of a submitted method: nothing, within five seconds."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from workers.sandbox import Mode

EXAMINER = """
import sys
from workers.arena.fork_server import ForkServer
from workers.arena.messages import Order
from workers.arena.process import Candidate

ENDLESS = '''
import os, time
os.write(1, b"running")
while True: time.sleep(1)
'''
with ForkServer() as server:
    candidate = Candidate(server, Order(action="describe", source=ENDLESS, sandbox=sys.argv[1]), {}, 600)
    while b"running" not in candidate._log:
        candidate._wait()
    print(server.pid, flush=True)
    list(candidate.messages())
"""


@pytest.mark.parametrize("killed", ["examiner", pytest.param("fork server", marks=pytest.mark.slow)])
def test_no_process_of_a_candidate_survives(mode: Mode, killed: str) -> None:
    command = [sys.executable, "-c", EXAMINER, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as examiner:
        assert examiner.stdout is not None
        server = int(examiner.stdout.readline())
        family = psutil.Process(examiner.pid).children(recursive=True)
        assert len(family) == (3 if mode is Mode.WALLED else 2)
        psutil.Process(examiner.pid if killed == "examiner" else server).kill()
        _, alive = psutil.wait_procs(family, timeout=5)
        examiner.kill()
    assert alive == []
