"""Where the client finds a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.client import NoServerError
from api.client.connection import Connection, find, link_running, login_file, running_link


@pytest.fixture(autouse=True)
def _nowhere(nowhere):
    """No service is known unless the test says so."""


def known(path: Path, name: str) -> None:
    Connection(server=f"http://{name}", token=f"token-of-{name}").write(path)


def test_without_any_server_it_says_where_it_looked():
    with pytest.raises(
        NoServerError, match=r"--server.*CIL_SERVER.*cil login.*cil up.*var/serve/connection\.json"
    ):
        find()


def test_nearer_places_go_before_farther_ones(monkeypatch):
    known(login_file(), "login")
    assert find().server == "http://login"
    known(Path("elsewhere/connection.json"), "running")
    link_running(Path("elsewhere/connection.json"))
    assert find().server == "http://running"
    known(Path("var/demo/connection.json"), "demo")
    assert find().server == "http://demo"
    known(Path("var/serve/connection.json"), "serve")
    assert find() == Connection(server="http://serve", token="token-of-serve")
    known(Path("data/connection.json"), "data")
    monkeypatch.setenv("CIL_DATA_DIR", "data")
    assert find().server == "http://data"
    monkeypatch.setenv("CIL_SERVER", "http://environment/")
    assert find().server == "http://environment"
    assert find("http://given").server == "http://given"


def test_the_token_of_a_file_is_not_sent_to_another_server(monkeypatch):
    known(login_file(), "login")
    monkeypatch.setenv("CIL_SERVER", "http://other")
    assert find().token is None
    monkeypatch.setenv("CIL_TOKEN", "cil_given")
    assert find().token == "cil_given"


def test_a_service_that_has_stopped_is_not_found_through_its_link():
    file = Path("elsewhere/connection.json")
    known(file, "running")
    link_running(file)
    file.unlink()
    assert running_link().is_symlink()
    with pytest.raises(NoServerError):
        find()


def test_the_service_started_last_is_the_one_that_is_linked():
    for name in ("first", "second"):
        known(Path(name) / "connection.json", name)
        link_running(Path(name) / "connection.json")
    assert find().server == "http://second"


def test_a_connection_is_readable_by_its_owner_only():
    known(login_file(), "login")
    known(login_file(), "login again")
    assert login_file().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in login_file().parent.iterdir()] == ["connection.json"]
