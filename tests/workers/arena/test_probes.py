"""The probes of the sandbox as a submitted file, in a real candidate."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from cil_core.spec.errors import MethodError, RuleBroken
from workers.arena.fork_server import ForkServer
from workers.arena.messages import Described, Message, Order, Sandbox
from workers.arena.process import Candidate
from workers.sandbox import Mode, default_policy
from workers.sandbox.probes import Probe, Target, all_probes

MEMORY_BYTES, RESULT_BYTES = 2**28, 2**20
VARIABLE = "CIL_DATABASE_URL"
FILE = """
import os
from dataclasses import replace
from pathlib import Path, PosixPath

from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME
from workers.sandbox.probes import Target, all_probes
from workers.sandbox.trial import findings

opened = [path for path in Path("/proc/self/fd").iterdir() if os.path.lexists(path)]
(result,) = [int(path.name) for path in opened if "memfd:result" in os.readlink(path)]
target = replace(Target(**{target}), result=result)
found = {{probe.name: findings(probe, target) for probe in all_probes() if probe.name in {names}}}
assert not any(found.values()), f"found {{found}}"
RECIPE, METHOD = BY_NAME["finetune"], method_class("finetune")
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """This process as the supervisor."""
    secret = os.urandom(16).hex().encode()
    monkeypatch.setenv(VARIABLE, secret.decode())
    for name in ("secret", "own"):
        (tmp_path / name).write_bytes(secret)
    buffer = ctypes.create_string_buffer(secret)
    with socket.create_server(("127.0.0.1", 0)) as server, (tmp_path / "secret").open("rb") as file:
        yield Target(
            pid=os.getpid(),
            folder=tmp_path,
            secret=secret,
            address=ctypes.addressof(buffer),
            descriptor=file.fileno(),
            result=-1,
            variable=VARIABLE,
            port=server.getsockname()[1],
            digits=tuple(
                path for place in default_policy(Mode.LOCKED).hidden for path in place.glob("digits*")
            ),
            memory_bytes=MEMORY_BYTES,
            file_bytes=RESULT_BYTES,
            threads=default_policy(Mode.LOCKED).threads,
        )


def run(server: ForkServer, mode: Sandbox, target: Target, *probes: Probe) -> list[Message]:
    """The messages of a candidate whose file makes the attempts."""
    source = FILE.format(target=asdict(target), names={probe.name for probe in probes})
    order = Order(
        action="describe", source=source, sandbox=mode, memory_bytes=MEMORY_BYTES, state_bytes=RESULT_BYTES
    )
    candidate = Candidate(server, order, {}, 60)
    try:
        return list(candidate.messages())
    finally:
        candidate.close()


def test_a_submitted_file_achieves_nothing(server: ForkServer, target: Target, mode: Mode) -> None:
    (message,) = run(server, mode.value, target, *(probe for probe in all_probes() if not probe.is_alone))
    assert isinstance(message, Described)


@pytest.mark.parametrize(
    "probe", [each for each in all_probes() if each.is_alone], ids=lambda probe: probe.name
)
def test_a_submitted_file_achieves_nothing_dangerous(
    server: ForkServer, target: Target, mode: Mode, probe: Probe
) -> None:
    """An attempt may end the process, but must not succeed."""
    ending = ""
    try:
        run(server, mode.value, target, probe)
    except (MethodError, RuleBroken) as error:
        ending = str(error)
    assert "found" not in ending


def test_without_a_sandbox_a_submitted_file_reads_a_secret(server: ForkServer, target: Target) -> None:
    (probe,) = (each for each in all_probes() if each.name == "reads_a_secret_file")
    with pytest.raises(MethodError, match=r"found .*secret"):
        run(server, "off", target, probe)
