"""A worker during a database outage: a real PostgreSQL behind a proxy that can drop connections."""

import contextlib
import selectors
import socket
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import make_url

from store.database.session import Database
from workers.parent.execution import Execution, Placement


class Cable:
    """Carries TCP connections to PostgreSQL's Unix socket, until it is cut."""

    def __init__(self, target: Path):
        self.target, self.pairs, self.closed, self.whole = target, {}, False, True
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._carry)
        self.thread.start()

    def _carry(self):
        while not self.closed:
            for key, _ in self.selector.select(0.05):
                with self.lock:
                    if key.fileobj is self.listener:
                        self._connect()
                    else:
                        self._forward(key.fileobj)

    def _connect(self):
        client, _ = self.listener.accept()
        if not self.whole:
            client.close()
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.target))
        self.pairs |= {client: server, server: client}
        for end in (client, server):
            self.selector.register(end, selectors.EVENT_READ)

    def _forward(self, source):
        target = self.pairs.get(source)
        if target is None:
            return
        with contextlib.suppress(OSError):
            if data := source.recv(65536):
                target.sendall(data)
                return
        self._drop(source)

    def _drop(self, end):
        for each in (end, self.pairs[end]):
            del self.pairs[each]
            self.selector.unregister(each)
            each.close()

    def url(self, original):
        """The way to the database through this cable."""
        return (
            make_url(original)
            .set(host="127.0.0.1", port=self.port, query={})
            .render_as_string(hide_password=False)
        )

    def cut(self):
        with self.lock:
            self.whole = False
            while self.pairs:
                self._drop(next(iter(self.pairs)))

    def reconnect(self):
        self.whole = True

    def close(self):
        self.closed = True
        self.thread.join()
        self.cut()
        self.selector.close()
        self.listener.close()


@pytest.fixture
def cable(postgresql_url):
    """To the server of the PostgreSQL workshop."""
    host = Path(make_url(postgresql_url).query["host"])
    cable = Cable(next(host.glob(".s.PGSQL.*[0-9]")))
    yield cable
    cable.close()


def test_a_database_outage_costs_no_attempt_and_no_finished_task(
    postgresql_workshop, postgresql_url, cable, reference, until
):
    workshop = postgresql_workshop
    run_id = workshop.submit()
    worker = workshop.start_worker(database_url=cable.url(postgresql_url))
    workshop.await_tasks(run_id, 1)
    cable.cut()
    until(lambda: not worker.runners())
    assert worker.process.poll() is None
    assert workshop.run(run_id).state == "running"
    cable.reconnect()
    run = workshop.await_state(run_id, "succeeded", "failed", "dead")
    assert run.matrix_digest == reference["matrix_digest"]
    assert [attempt.outcome for attempt in run.attempts] == ["released", "succeeded"]
    assert "database was unreachable" in run.attempts[0].message
    resumed = [
        event.payload["resumed_at"] for event in workshop.events(run_id) if event.kind == "run_started"
    ]
    assert resumed[-1] >= 1
    assert run.charged == 1


@pytest.mark.usefixtures("fork_server")
def test_a_short_database_outage_does_not_stop_the_run(
    postgresql_workshop, postgresql_url, cable, until, reference
):
    workshop = postgresql_workshop
    run_id = workshop.submit()
    claim = workshop.claim()
    database = Database(cable.url(postgresql_url))
    execution = Execution(
        claim, database, workshop.settings(lease_seconds=60), Placement("cpu", 1), time.monotonic()
    )
    thread = threading.Thread(target=execution.run)
    thread.start()
    workshop.await_tasks(run_id, 1)
    cable.cut()
    time.sleep(1)
    cable.reconnect()
    thread.join(150)
    database.dispose()
    run = workshop.run(run_id)
    assert (run.state, run.matrix_digest) == ("succeeded", reference["matrix_digest"])
    assert [attempt.outcome for attempt in run.attempts] == ["succeeded"]
    assert [event.payload["task"] for event in workshop.events(run_id) if event.kind == "task_evaluated"] == [
        0,
        1,
        2,
        3,
        4,
    ]
