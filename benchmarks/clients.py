"""An API process and cheap clients for it: raw sockets that keep their connections."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Connection:
    """A kept connection that sends one request at a time."""

    def __init__(self, address: str) -> None:
        self._place = urlsplit(address)

    async def open(self) -> Connection:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._place.hostname, self._place.port)
        self._writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    async def ask(
        self, path: str, headers: Mapping[str, str] = NO_HEADERS, verb: str = "GET", body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and body of one answer."""
        lines = [
            f"{verb} {path} HTTP/1.1",
            f"Host: {self._place.netloc}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(
            (
                int(line.partition(":")[2])
                for line in head.split("\r\n")
                if line.startswith("content-length:")
            ),
            0,
        )
        return int(head.split(" ", 2)[1]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Close."""
        self._writer.close()


@contextmanager
def serving(database_url: str, processes: int = 1) -> Iterator[str]:
    """Start an API process over this database; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "CIL_DATABASE_URL": database_url,
        "CIL_WRITES_PER_MINUTE": "1000000",
        "CIL_MAX_QUEUED_RUNS": "1000000",
        "CIL_SECRET_KEY": "x" * 32,
    }
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "api.main:from_environment",
        "--factory",
        "--port",
        str(port),
        "--no-access-log",
        "--workers",
        str(processes),
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            while True:
                try:
                    if httpx.get(f"{address}/readyz", trust_env=False).is_success:
                        break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.wait(20)


async def milliseconds(connection: Connection, question: Callable[[Connection], Any]) -> float:
    """Milliseconds of one answer; an error answer ends the measurement."""
    began = time.perf_counter()
    status, _ = await question(connection)
    taken = 1000 * (time.perf_counter() - began)
    if status >= 400:
        raise RuntimeError(f"answered {status}")
    return taken


async def timed(address: str, questions: Sequence[Callable[[Connection], Any]], clients: int) -> list[float]:
    """Milliseconds of each request from this many concurrent clients."""
    waiting, taken = iter(questions), list[float]()

    async def client() -> None:
        connection = await Connection(address).open()
        for question in waiting:
            taken.append(await milliseconds(connection, question))
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return taken


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def gets(path: str, count: int, headers: Mapping[str, str] = NO_HEADERS) -> list[Callable[[Connection], Any]]:
    """One request, several times."""
    return [lambda connection: connection.ask(path, headers)] * count


async def paced(
    address: str, question: Callable[[Connection], Any], clients: int, every: float, rounds: int
) -> list[float]:
    """Milliseconds of each answer to clients that each send a request per interval."""
    taken: list[float] = []

    async def client(number: int) -> None:
        connection = await Connection(address).open()
        await asyncio.sleep(every * number / clients)
        for _ in range(rounds):
            taken.append(await milliseconds(connection, question))
            await asyncio.sleep(max(0.0, every - taken[-1] / 1000))
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return taken


def rate(
    address: str, path: str, seconds: float, clients: int, headers: Mapping[str, str] = NO_HEADERS
) -> float:
    """Answers per second."""

    async def run() -> float:
        done, deadline = 0, time.perf_counter() + seconds

        async def client() -> None:
            nonlocal done
            connection = await Connection(address).open()
            while time.perf_counter() < deadline:
                await connection.ask(path, headers)
                done += 1
            connection.close()

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return done / (time.perf_counter() - began)

    return asyncio.run(run())
