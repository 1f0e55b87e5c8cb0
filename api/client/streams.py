r"""Lines in a stream of bytes: JSON lines and server-sent events.

Decisions:
    * A line of JSON ends at `\n` alone; one of server-sent events at `\n`, `\r\n` or `\r`, as its
      specification says. `str.splitlines` would also cut at U+2028, U+0085 and others, which occur in titles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def json_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    r"""The lines that end at `\n`, and the rest after the last `\n`."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)
    if rest:
        yield rest.decode()


def server_sent_events(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Kind and data of each complete event; comments and unknown fields are skipped."""
    kind, data = "message", list[bytes]()
    for line in _event_lines(chunks):
        field, _, value = line.partition(b":")
        if not line:
            if data:
                yield kind, b"\n".join(data).decode()
            kind, data = "message", []
        elif field == b"event":
            kind = value.removeprefix(b" ").decode()
        elif field == b"data":
            data.append(value.removeprefix(b" "))


def _event_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest, after_return = b"", False
    for chunk in chunks:
        if not chunk:
            continue
        received = chunk.removeprefix(b"\n") if after_return else chunk
        after_return = chunk.endswith(b"\r")  # a line feed at the start of the next chunk belongs to it
        text = (rest + received).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        yield from lines
