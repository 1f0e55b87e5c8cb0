"""`python -m workers.sandbox.trial MODE [PROBE …]`: a process that runs probes in the sandbox, or in none.

The trial plays the supervisor: it holds a secret in its memory, its environment and a file, and it listens on
a port. Its children enter the sandbox and run the probes, all in one process or one process per dangerous
probe. The result is JSON on standard output, for `self_test`.

Decisions:
    * A process of its own, without PyTorch: a worker can start one at any time, and a trial that goes wrong
      harms no worker.
    * What the attempts changed outside is checked as well as what they report.
    * `off` runs the probes without a sandbox, which shows that they can succeed.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from workers.sandbox.entrance import enter
from workers.sandbox.kernel import SandboxError
from workers.sandbox.policy import Mode, Policy, default_policy
from workers.sandbox.probes import SECRET_VARIABLE, Probe, Target, all_probes

OFF = "off"

_MIB = 2**20
_MEMORY_BYTES, _FILE_BYTES, _THREADS = 256 * _MIB, _MIB, 64
_SECONDS_PER_PROCESS = 20.0
_ENTERED = "entered"


def main(arguments: Sequence[str]) -> None:
    """Run the trial and print its result."""
    parser = argparse.ArgumentParser(description="Run probes in the sandbox.")
    parser.add_argument("mode", choices=[OFF, *Mode])
    parser.add_argument("--enter-only", action="store_true", help="run no probe")
    parser.add_argument("probes", nargs="*", help="names; by default every probe")
    given = parser.parse_args(arguments)
    chosen = [each for each in all_probes() if not given.probes or each.name in given.probes]
    with (
        tempfile.TemporaryDirectory(prefix="cil-trial-") as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        trial = _Trial(given.mode, Path(folder), server)
        sys.stdout.write(json.dumps(trial.run([] if given.enter_only else chosen)) + "\n")


def findings(probe: Probe, target: Target) -> list[str]:
    """What the attempts of a probe achieved, and a fault of the probe itself."""
    found: list[str] = []
    try:
        for evidence in probe.attempts(target):
            found.append(evidence)  # noqa: PERF402 - what was found before an error counts
    except (OSError, MemoryError):
        pass
    except Exception as error:  # noqa: BLE001 - a probe with a fault proves nothing, so it counts as a hole
        found.append(f"the probe has a fault: {type(error).__name__}: {error}")
    return found


class _Trial:
    def __init__(self, mode: str, folder: Path, server: socket.socket) -> None:
        self._mode, self._server, self._folder = mode, server, folder
        self._secret = os.environ.get(SECRET_VARIABLE, "a secret").encode()
        self._buffer = ctypes.create_string_buffer(self._secret)
        (folder / "secret").write_bytes(self._secret)
        (folder / "own").write_bytes(b"own")
        self._affinity = os.sched_getaffinity(0)
        self.target = Target(
            pid=os.getpid(),
            folder=folder,
            secret=self._secret,
            address=ctypes.addressof(self._buffer),
            descriptor=os.open(folder / "secret", os.O_RDONLY),
            result=os.memfd_create("result", os.MFD_ALLOW_SEALING),
            variable=SECRET_VARIABLE,
            port=server.getsockname()[1],
            digits=_digits(),
            memory_bytes=_MEMORY_BYTES,
            file_bytes=_FILE_BYTES,
            threads=_THREADS,
        )

    def run(self, probes: Sequence[Probe]) -> dict[str, object]:
        """What entering took, and what each probe achieved; `refused` says why no process can enter."""
        together = [each for each in probes if not each.is_alone]
        found: dict[str, list[str]] = {}
        refused, milliseconds = self._run_process(together, found)
        if refused is None:
            for each in (each for each in probes if each.is_alone):
                self._run_process([each], found)
            found["trial"] = [*self._damage()]
        return {
            "refused": refused,
            "milliseconds": milliseconds,
            "probes": len(probes),
            "found": {name: evidence for name, evidence in found.items() if evidence},
        }

    def _run_process(self, probes: Sequence[Probe], found: dict[str, list[str]]) -> tuple[str | None, float]:
        """Fork, enter, probe. Returns why the process could not enter, and the milliseconds it took."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _attack(self._mode, probes, self.target, writer)
        os.close(writer)
        messages = [json.loads(line) for line in _lines(reader, child)]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(reader)
        if not messages or _ENTERED not in messages[0]:
            return (messages[0]["refused"] if messages else f"the process ended with {status}"), 0.0
        reported = {message["probe"]: message["found"] for message in messages[1:]}
        for each in probes:
            ended = [] if each.is_alone and status < 0 else [f"the probe did not finish: exit {status}"]
            found[each.name] = reported.get(each.name, ended)
        return None, messages[0][_ENTERED]

    def _damage(self) -> Iterator[str]:
        """What the attempts changed outside, besides what they report."""
        if self._mode == OFF:
            return
        if (self._folder / "secret").read_bytes() != self._secret or self._buffer.value != self._secret:
            yield "the secret has changed"
        if {path.name for path in self._folder.iterdir()} != {"secret", "own"}:
            yield "the folder of the trial has changed"
        if os.sched_getaffinity(0) != self._affinity:
            yield "the trial was moved to other processors"
        if select.select([self._server], [], [], 0)[0]:
            yield "the trial has received a connection"


def _attack(mode: str, probes: Sequence[Probe], target: Target, writer: int) -> None:
    """The child: enter, run the probes, report, end."""
    try:
        started = time.perf_counter()
        if mode != OFF:
            enter(_policy(Mode(mode), [writer, target.result]))
        _report(writer, {_ENTERED: round((time.perf_counter() - started) * 1000, 2)})
        for each in probes:
            _report(writer, {"probe": each.name, "found": findings(each, target)})
    except SandboxError as error:
        _report(writer, {"refused": error.strerror})
    finally:
        os._exit(0)


def _report(writer: int, message: dict[str, object]) -> None:
    os.write(writer, json.dumps(message).encode() + b"\n")


def _policy(mode: Mode, keep: list[int]) -> Policy:
    policy = default_policy(
        mode, keep=keep, memory_bytes=_MEMORY_BYTES, file_bytes=_FILE_BYTES, cpu_seconds=20
    )
    return replace(policy, threads=_THREADS)


def _lines(reader: int, child: int) -> Iterator[bytes]:
    """The lines that the child writes until it ends; it is killed after a while."""
    deadline, rest = time.monotonic() + _SECONDS_PER_PROCESS, b""
    while True:
        if not select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
            break
        data = os.read(reader, 65_536)
        *complete, rest = (rest + data).split(b"\n")
        yield from complete
        if not data:
            break


def _digits() -> tuple[Path, ...]:
    """The digits that scikit-learn ships, found without importing it."""
    found = importlib.util.find_spec("sklearn")
    places = found.submodule_search_locations if found else None
    return tuple(path for place in places or () for path in Path(place, "datasets/data").glob("digits*"))


if __name__ == "__main__":
    main(sys.argv[1:])
