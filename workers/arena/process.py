"""`Candidate`: a process of a submitted method, as the examiner sees it.

Decisions:
    * Every line is checked, and every amount is bounded: bytes per line, lines, seconds, bytes of log.
    * It is dead before its result is read; then the result is sealed, so nothing can change it.
    * What a candidate does wrong is one of three things. Its file failed (`MethodError`), it broke a rule
      (`RuleBroken`), or this machine is at fault (`CannotConfine`, `ChildProcessError`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import wait
from typing import TypeVar

from pydantic import ValidationError

from cil_core.spec.errors import CannotConfine, Diverged, MethodError, RuleBroken
from workers.arena import memory_files
from workers.arena.fork_server import ForkServer
from workers.arena.messages import (
    FAILED,
    LINE_BYTES,
    LINES,
    MESSAGE,
    Answered,
    Described,
    Failed,
    Learned,
    Message,
    Order,
    Unfit,
)

LOG_BYTES = 16_384
_READ_BYTES = 65_536
_KILL_SECONDS = 30.0

Result = TypeVar("Result", Answered, Described, Learned)


class Candidate:
    """One candidate, from its start to its result. Close it in any case.

    Args:
        server: starts it.
        order: its work.
        inputs: descriptors of what it reads, `state` and `data`.
        seconds: its deadline.
    """

    def __init__(self, server: ForkServer, order: Order, inputs: Mapping[str, int], seconds: float) -> None:
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._last: Message | None = None
        self._lines = 0
        self._rest = self._log = b""
        self._exit_code: int | None = None
        self._ended = False
        self._result = memory_files.create("result")
        self._reports, reports_end = os.pipe()
        self._log_pipe, log_end = os.pipe()
        self._open = {self._reports, self._log_pipe}
        for pipe in self._open:
            os.set_blocking(pipe, False)
        written = memory_files.sealed("order", [order.model_dump_json().encode()])
        ends = {"order": written, "reports": reports_end, "log": log_end}
        try:
            self._process = server.fork({**ends, "result": self._result, **inputs})
        except BaseException:
            for pipe in (self._reports, self._log_pipe, self._result):
                os.close(pipe)
            raise
        finally:
            for descriptor in ends.values():
                os.close(descriptor)

    def messages(self) -> Iterator[Message]:
        """What it says until it ends, as it comes. Afterwards it is dead.

        Raises:
            MethodError: the file raised, or crashed the process.
            Diverged: a loss of the method is no longer finite.
            RuleBroken: it took too long, or wrote something that is no message.
            CannotConfine: this machine has no such sandbox.
        """
        while not self._ended:
            self._wait()
            yield from self._read_messages()
        self._kill()  # processes that it may have started where no sandbox prevents it
        self._read_log()
        yield from self._read_messages()

    def _wait(self) -> None:
        """Wait until it says or prints something, or ends."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise RuleBroken(f"it took longer than {self._seconds:g} s")
        for ready in wait([self._process.status, *self._open], left):
            if ready == self._process.status:
                self._read_exit_code()
            elif ready == self._log_pipe:
                self._read_log()

    def result(self, kind: type[Result]) -> tuple[Result, int]:
        """Its last message and the descriptor of its sealed result, which the caller closes.

        Args:
            kind: of the last message.

        Raises:
            MethodError: it crashed.
            RuleBroken: it ended without that message, or tampered with the result.
            ChildProcessError: something killed it, such as the kernel short of memory.
        """
        if self._exit_code != 0:
            raise self._ended_badly()
        if not isinstance(self._last, kind):
            raise RuleBroken(
                f"it ended without the message {kind.model_fields['kind'].default!r}{self._printed()}"
            )
        try:
            memory_files.seal(self._result)
        except OSError:
            raise RuleBroken("it sealed or mapped its result, which only its examiner may do") from None
        return self._last, os.dup(self._result)

    def close(self) -> None:
        """Kill it and free every resource. Idempotent."""
        if self._process.status < 0:
            return
        self._kill()
        for pipe in (self._reports, self._log_pipe, self._result, self._process.status):
            os.close(pipe)
        self._process = type(self._process)(self._process.pid, -1)

    def _read_messages(self) -> Iterator[Message]:
        while data := self._read(self._reports):
            *complete, self._rest = (self._rest + data).split(b"\n")
            self._lines += len(complete)
            if max(map(len, (self._rest, *complete))) > LINE_BYTES or self._lines > LINES:
                raise RuleBroken(
                    f"it wrote more than {LINES} messages, or one of more than {LINE_BYTES} bytes"
                )
            for line in complete:
                yield self._checked(line)

    def _checked(self, line: bytes) -> Message:
        if isinstance(self._last, Answered | Described | Learned):
            raise RuleBroken("it wrote a message after its last one")
        try:
            message = MESSAGE.validate_json(line)
        except ValidationError as error:
            reason = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise RuleBroken(f"it wrote {line[:80]!a}, which is no message: {reason}") from None
        self._last = message
        match message:
            case Failed(error="Diverged"):
                raise Diverged(_printable(message.message))
            case Failed():
                text = _printable(f"{message.error}: {message.message}")
                raise MethodError(text, tuple(map(_printable, message.traceback)))
            case Unfit():
                raise CannotConfine(_printable(message.message))
        return message

    def _read_log(self) -> None:
        """Keep the end of what it printed."""
        while data := self._read(self._log_pipe):
            self._log = (self._log + data)[-LOG_BYTES:]

    def _read(self, pipe: int) -> bytes:
        """What a pipe holds now; nothing if it is empty or closed."""
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            self._open.discard(pipe)
        return data

    def _read_exit_code(self) -> None:
        text = os.read(self._process.status, _READ_BYTES)
        self._exit_code, self._ended = int(text) if text else None, True

    def _ended_badly(self) -> Exception:
        code = self._exit_code
        if code is None:
            return ChildProcessError("the fork server of submitted methods has ended")
        if code >= 0:
            how = "without a report of its failure" if code == FAILED else f"with exit code {code}"
            return MethodError(f"its process ended {how}{self._printed()}")
        name = signal.Signals(-code).name
        if name == "SIGKILL":
            return ChildProcessError(
                "the process of the method received SIGKILL (likely the kernel's OOM killer)"
            )
        if name in {"SIGSYS", "SIGXCPU", "SIGXFSZ"}:
            return RuleBroken(f"the sandbox ended its process with {name}")
        return MethodError(f"its process crashed with {name}{self._printed()}")

    def _printed(self) -> str:
        last = self._log.decode(errors="replace").strip()[-300:]
        return f"; it last printed {last!a}" if last else ""

    def _kill(self) -> None:
        """Kill its process group; and itself, if it has not created the group yet."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._ended:
            return
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        if wait([self._process.status], _KILL_SECONDS):
            self._read_exit_code()


def _printable(text: str) -> str:
    """The text without control sequences, which a terminal would obey."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )
