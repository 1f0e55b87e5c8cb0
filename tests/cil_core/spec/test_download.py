"""Downloads from a real server that can be slow, cut connections, and resume."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cil_core.spec.download import RemoteFile, download
from cil_core.spec.errors import DataError

CONTENT = bytes(range(256)) * 20_000  # 5 MB: several chunks
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Host:
    """A file server; `cuts` says after how many bytes each of the next answers breaks off."""

    url: str = ""
    resumes: bool = True
    cuts: list[int] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/data.bin":
                self.send_error(404)
                return
            asked = self.headers["Range"]
            host.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and host.resumes else 0
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start : start + host.cuts.pop(0)] if host.cuts else CONTENT[start:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}/data.bin"
    yield host
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_arrives_checked_under_its_name(host: Host, tmp_path: Path) -> None:
    steps = list(download(RemoteFile(host.url, MD5, "raw"), tmp_path))
    assert (tmp_path / "raw" / "data.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["data.bin"]
    assert steps[-1] == ("data.bin", len(CONTENT), len(CONTENT), "bytes")
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_a_present_file_is_not_fetched_again(host: Host, tmp_path: Path) -> None:
    list(download(RemoteFile(host.url, MD5), tmp_path))
    assert list(download(RemoteFile(host.url, MD5), tmp_path)) == []
    assert len(host.ranges) == 1


def test_an_interrupted_download_is_carried_on_where_it_stopped(host: Host, tmp_path: Path) -> None:
    partial = download(RemoteFile(host.url, MD5), tmp_path)
    stopped = next(partial).done
    partial.close()
    assert not (tmp_path / "data.bin").exists()
    list(download(RemoteFile(host.url, MD5), tmp_path))
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert host.ranges == [None, f"bytes={stopped}-"]


def test_broken_connections_are_taken_up_as_long_as_bytes_arrive(host: Host, tmp_path: Path) -> None:
    host.cuts = [1_500_000, 1_500_000]
    list(download(RemoteFile(host.url, MD5), tmp_path))
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert host.ranges == [None, "bytes=1500000-", "bytes=3000000-"]


def test_a_connection_that_brings_nothing_more_is_given_up(host: Host, tmp_path: Path) -> None:
    host.cuts = [1_500_000, 0]
    with pytest.raises(DataError, match=r"cannot download http://127.0.0.1.*may be fetched by other means"):
        list(download(RemoteFile(host.url, MD5), tmp_path))


def test_a_server_that_cannot_resume_sends_everything_again(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"something else entirely")
    host.resumes = False
    list(download(RemoteFile(host.url, MD5), tmp_path))
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_partial_file_that_was_complete_only_gets_its_name(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    list(download(RemoteFile(host.url, MD5), tmp_path))
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_file_with_another_checksum_is_refused_and_not_kept(host: Host, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"data.bin.part is damaged: its MD5 is {MD5}, not 0{{32}}"):
        list(download(RemoteFile(host.url, "0" * 32), tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_of_the_operator_is_named_and_kept(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"data.bin is damaged"):
        list(download(RemoteFile(host.url, MD5), tmp_path))
    assert (tmp_path / "data.bin").exists()
    assert host.ranges == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/data.bin", "http://name.invalid/data.bin"])
def test_a_host_that_cannot_be_reached_is_named_with_the_way_out(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"cannot download {url}: .* put at {tmp_path / 'data.bin'}"):
        list(download(RemoteFile(url, MD5), tmp_path))


def test_a_file_the_host_does_not_have_is_named(host: Host, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"other.bin: HTTP Error 404"):
        list(download(RemoteFile(host.url.replace("data", "other"), MD5), tmp_path))


def test_only_web_addresses_are_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    with pytest.raises(DataError, match="neither http nor https"):
        list(download(RemoteFile(f"file://{tmp_path}/secret", MD5), tmp_path / "here"))
