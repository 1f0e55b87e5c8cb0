"""Addresses, tokens, stored connections, the environment: one line names the fault and shows no secret."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client import Client, ConfigurationError, UnreachableError
from api.client.connection import Connection, find, login_file
from tests.api.client.conftest import DIGITS

CANARY = "cil_canary0123456789"
ECHO = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<h1>Welcome</h1>"
COMMANDS = {
    "login": ("login", "{url}"),
    "submit": ("submit", "-m", "replay", "-t", DIGITS),
    "watch": ("watch", "job_1"),
    "jobs": ("jobs",),
    "show": ("show", "run_1"),
    "cancel": ("cancel", "job_1"),
    "leaderboard": ("leaderboard", DIGITS),
    "replay": ("replay", "run_1"),
    "report": ("report", "result.json"),
    "withdraw": ("withdraw", "res_1"),
    "export": ("export", "--out", "saved"),
    "tracks": ("tracks",),
    "methods": ("methods",),
    "compare": ("compare", "ent_1", "ent_2"),
    "status": ("status",),
    "suite show": ("suite", "show", "digits-orders"),
    "suite run": ("suite", "run", "digits-orders"),
}
BAD_TOKENS = {
    "line break": f"{CANARY}\n{CANARY}",
    "carriage return": f"{CANARY}\r{CANARY}",
    "typographic quote": f"“{CANARY}”",
    "space": f"Bearer {CANARY}",
    "escape": f"{CANARY}\x1b[0m",
    "not UTF-8": f"{CANARY}\udcff",
}


class Echo:
    """A server that sends every request back as its answer, as a badly configured proxy does."""

    def __init__(self, head: bytes, echo: bool = True) -> None:
        self.head, self.echo = head, echo
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed: the test is over
            with client:
                client.sendall(self.head + (client.recv(65_536) if self.echo else b""))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo(ECHO)
    yield echo
    echo.close()


@pytest.fixture
def foreign() -> Iterator[Echo]:
    """A server of web pages."""
    page = Echo(PAGE, echo=False)
    yield page
    page.close()


def call(cil, name: str, url: str):
    Path("result.json").write_text("{}")
    return cil(*(argument.format(url=url) for argument in COMMANDS[name]))


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_bad_token_is_refused_by_position_and_never_shown(token, process) -> None:
    for arguments, environment in ((("--token", token), {}), ((), {"CIL_TOKEN": token})):
        done = process("cancel", "job_1", "--server", "http://127.0.0.1:9", *arguments, **environment)
        assert done.returncode == 2
        source = "--token" if arguments else "CIL_TOKEN"
        assert done.stderr.startswith(f"{source}: character ")
        assert "canary" not in done.stdout + done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_shows_the_token_that_a_server_sends_back(name, cil, echo, monkeypatch) -> None:
    monkeypatch.setenv("CIL_SERVER", echo.url)
    monkeypatch.setenv("CIL_TOKEN", CANARY)
    done = call(cil, name, echo.url)
    assert done.code == 3
    assert "[token]" in done.err
    assert "canary" not in done.out + done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_shows_a_token_of_a_broken_login_file(name, cil, monkeypatch) -> None:
    login_file().parent.mkdir(parents=True)
    login_file().write_text(f'{{"server": 5, "token": "{CANARY}", "more": "{CANARY}"}}')
    done = call(cil, name, "ftp://127.0.0.1")
    assert done.code == 2
    assert "canary" not in done.out + done.err
    assert name == "login" or "run `cil login URL` again or delete the file" in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_server_of_web_pages_is_named_as_such(name, cil, foreign, monkeypatch) -> None:
    monkeypatch.setenv("CIL_SERVER", foreign.url)
    monkeypatch.setattr("api.client.sdk.RECONNECT_SECONDS", 0)
    done = call(cil, name, foreign.url)
    assert done.code in {1, 4}
    assert "Traceback" not in done.err
    assert done.err.strip()


def test_white_space_around_a_token_and_an_address_is_ignored(served, service, process) -> None:
    environment = {"CIL_SERVER": f" {served.url}/\r\n", "CIL_TOKEN": f"\t{service.token}\n"}
    assert process("submit", "-m", "replay", "-t", DIGITS, "--seeds", "1", **environment).returncode == 0


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("localhost:8000", "an address looks like https://"),
        ("http://", "an address looks like https://"),
        ("http://[::1", "an address looks like https://"),
        ("http://host:port", "an address looks like https://"),
        ("ftp://host", "an address looks like https://"),
        ("https://host/?token=canary", "an address looks like https://"),
        ("https://ada:canary@host", "must not contain a user name or password"),
        ("http://ho st", "character 10 of 12 is white space"),
        ("http://“canary”", "character 8 of 15 is not an ASCII character"),
        ("http://canary\nx", "character 14 of 15 is a newline"),
        ("canary", "an address looks like https://"),
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(address, complaint, cil, monkeypatch) -> None:
    monkeypatch.setenv("CIL_SERVER", address)
    done = cil("jobs")
    assert done.code == 2
    assert done.err.startswith("CIL_SERVER: ")
    assert complaint in done.err
    assert "canary" not in done.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1"),
        ("ALL_PROXY", "socks5://ada:canary@127.0.0.1:1"),
        ("HTTP_PROXY", "http://ada:canary@host:port"),
        ("http_proxy", "http://"),
        ("HTTPS_PROXY", "http://ada:canary@“host”:1"),
        ("NO_PROXY", "localhost,[::1]"),
        ("SSL_CERT_FILE", "/missing"),
        ("SSL_CERT_FILE", "/etc/passwd"),
    ],
)
def test_a_bad_variable_of_the_http_client_is_named_in_one_line(variable, value, cil, monkeypatch) -> None:
    monkeypatch.setenv("CIL_SERVER", "http://cil.invalid")
    monkeypatch.setenv(variable, value)
    done = cil("jobs")
    assert done.code == 2
    assert done.err.startswith(variable)
    assert done.err.count("\n") == 1
    assert "canary" not in done.err


def test_a_proxy_is_not_used_for_this_machine(served, process) -> None:
    done = process(
        "jobs", CIL_SERVER=served.url, ALL_PROXY="socks://x", NO_PROXY="[::1]", SSL_CERT_FILE="/missing"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unreachable_proxy_is_named_by_its_variable(monkeypatch) -> None:
    monkeypatch.setattr("api.client.http_session.TRIES", 1)
    monkeypatch.setenv("HTTP_PROXY", "http://ada:canary@127.0.0.1:9")
    with (
        Client("http://cil.invalid") as client,
        pytest.raises(UnreachableError, match="proxy of HTTP_PROXY") as error,
    ):
        client.get("/methods")
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("content", ["", "{", '{"server": "http://h"', "[]", '{"pid": 5}', "\x00" * 20])
@pytest.mark.parametrize("place", ["var/serve/connection.json", "login"])
def test_a_broken_connection_file_is_named_with_a_remedy(content, place, nowhere) -> None:
    path = login_file() if place == "login" else Path(place)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ConfigurationError) as error:
        find()
    assert str(path) in str(error.value)
    remedy = "run `cil login URL` again" if place == "login" else "restart the service"
    assert remedy in str(error.value)
    assert find("http://given").server == "http://given"


def test_a_login_replaces_a_broken_file(served, process, tmp_path: Path) -> None:
    file = tmp_path / ".config" / "cil" / "connection.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert process("login", served.url).returncode == 0
    assert json.loads(file.read_text())["server"] == served.url


def test_a_connection_is_printed_without_its_token() -> None:
    assert "canary" not in repr(Connection(server="http://host", token=CANARY))
