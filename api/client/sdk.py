"""`Client`: the HTTP API in Python.

    from api.client import Client

    with Client.found() as client:
        job = client.submit({"name": "icarl", "preset": "small"}, "digits-b0-inc2-m50-convnet", seeds=[1, 2,
        3]) print(client.wait(job.id).state)

Decisions:
    * A submission carries an Idempotency-Key and is repeated when the connection fails or the server is
      overloaded: it never makes two jobs.
    * `follow` resumes a broken event stream after the last sequence it saw.
    * Polling slows down while nothing changes.
    * Answers are typed; `get` returns any other as the server sends it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from api.client import snapshot
from api.client.connection import find
from api.client.errors import ApiError, UnreachableError
from api.client.http_session import HttpSession, StreamBroken, segment
from api.client.models import Event, Job, Leaderboard, Method, Run
from api.client.polling import Pauses

RECONNECT_SECONDS = 60.0
"""How long `follow` tries to reach a server that has disappeared."""


class Client:
    """A connection to one service.

    Args:
        server: its address, e.g. `http://127.0.0.1:8000`.
        token: for writing.
        timeout: seconds a request may take.

    Raises:
        ConfigurationError: the address, the token or a proxy of the environment is unusable.
    """

    def __init__(self, server: str, token: str | None = None, timeout: float = 30) -> None:
        self._http = HttpSession(server, token, timeout)
        self.server = self._http.server

    @classmethod
    def found(cls, server: str | None = None, token: str | None = None) -> Self:
        """The service that is given, in CIL_SERVER, running here, or stored by `cil login`.

        Raises:
            NoServerError: none is configured.
            ConfigurationError: its address, its token or a stored connection is unusable.
        """
        connection = find(server, token)
        return cls(connection.server, connection.token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # ------------------------------------------------------------------ jobs

    def submit(
        self,
        method: str | Mapping[str, Any],
        track: str | Mapping[str, Any],
        seeds: Sequence[int],
        *,
        name: str | None = None,
        force: bool = False,
    ) -> Job:
        """Submit a job; finished runs are reused unless `force`.

        Args:
            method: its name, or its recipe: `{"name": "icarl", "preset": "small", "temperature": 3}`.
            track: its slug, or the whole track.
            seeds: one run each.
            name: a note for people.
            force: execute finished runs again.

        Raises:
            ApiError: the server refused it, with the faults field by field.
        """
        body = {
            "method": {"name": method} if isinstance(method, str) else dict(method),
            "track": track if isinstance(track, str) else dict(track),
            "seeds": list(seeds),
            **({"name": name} if name else {}),
        }
        return self.submit_json(body, force=force)

    def submit_json(self, body: Any, *, force: bool = False) -> Job:
        """Submit a job as the API takes it."""
        parameters = {"force": "true"} if force else None
        return Job.read(self._post("/jobs", json=body, params=parameters))

    def job(self, job_id: str) -> Job:
        """A job with its runs."""
        return Job.read(self.get(f"/jobs/{segment(job_id)}"))

    def jobs(self, **filters: str | int) -> Iterator[Job]:
        """Jobs, the newest first, page by page.

        Filters: state, method, track, user, created_after, and limit (jobs per page).
        """
        parameters: dict[str, str | int] = dict(filters)
        while True:
            page = self.get("/jobs", **parameters)
            yield from map(Job.read, page["items"])
            if not page["next_cursor"]:
                return
            parameters["cursor"] = page["next_cursor"]

    def cancel(self, job_id: str) -> Job:
        """Request a job's end.

        Raises:
            ApiError: 409 if it has ended already.
        """
        return Job.read(self._post(f"/jobs/{segment(job_id)}/cancellation"))

    def wait(self, job_id: str, poll_seconds: float = 0.5) -> Job:
        """The job once it has ended.

        Args:
            job_id: the job.
            poll_seconds: the first pause between two requests; pauses grow while nothing changes.
        """
        pauses = Pauses(poll_seconds)
        while not (job := self.job(job_id)).is_finished:
            pauses.sleep(job)
        return job

    def follow(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """A job's events, live, until it has ended; a broken connection is resumed.

        Args:
            job_id: the job.
            after: sequence of the last known event; 0 for all events.

        Raises:
            UnreachableError: no connection for `RECONNECT_SECONDS`.
        """
        lost_at: float | None = None
        while True:
            try:
                with self._http.events(f"/jobs/{segment(job_id)}/events", after) as events:
                    lost_at = None
                    for fields in events:
                        event = Event.read(fields)
                        after = event.sequence
                        yield event
                return
            except (StreamBroken, ApiError) as error:
                if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                    raise
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > RECONNECT_SECONDS:
                    raise UnreachableError(f"{self.server} does not answer: {error}") from error
            time.sleep(0.5)

    def replay(self, run_id: str) -> Job:
        """Execute a finished run again, to check whether it reproduces its results.

        Raises:
            ApiError: it cannot be replayed.
        """
        return Job.read(self._post(f"/runs/{segment(run_id)}/replay"))

    # ------------------------------------------------------------------ results and catalogue

    def report(self, body: Any) -> dict[str, Any]:
        """Report a result that was computed elsewhere: track, title, citation, and `curve` or `matrix`.

        Raises:
            ApiError: the server refused it, with the faults field by field.
        """
        return self._post("/results", json=body)

    def withdraw(self, result_id: str) -> dict[str, Any]:
        """Withdraw a reported result; returns the result."""
        return self._http.json("DELETE", f"/results/{segment(result_id)}")

    def snapshot(self, directory: Path, *, parquet: bool = True) -> dict[str, Any]:
        """Write everything public of the service into a new directory; see `api.client.snapshot`.

        Args:
            directory: must not exist yet.
            parquet: write Parquet files too, which needs pyarrow.

        Returns:
            The manifest.

        Raises:
            SnapshotError: it cannot be written.
        """
        with self._http.lines("/snapshot") as lines:
            return snapshot.write(lines, directory, self.server, parquet)

    def run(self, run_id: str) -> Run:
        """A run: metrics, accuracy matrices, environment, attempts."""
        return Run.read(self.get(f"/runs/{segment(run_id)}"))

    def leaderboard(self, track: str, **parameters: str) -> Leaderboard:
        """The entries of a track; parameters: sort, classifier, exemplar_free, best_per_method."""
        return Leaderboard.read(self.get(f"/leaderboards/{segment(track)}", **parameters))

    def export(self, track: str, format: str, **parameters: str) -> str:  # noqa: A002 - the API's own word
        """The leaderboard as text: csv, latex, bibtex or markdown."""
        parameters = {"format": format, **parameters}
        return self._http.request("GET", f"/leaderboards/{segment(track)}", params=parameters).text

    def compare(self, entries: Sequence[str], baseline: str | None = None) -> dict[str, Any]:
        """2 to 8 entries of one track, compared with `baseline` (the first of them if not given).

        Raises:
            ApiError: an entry does not exist, or the entries are not comparable.
        """
        parameters = {"entry": list(entries), **({"baseline": baseline} if baseline else {})}
        return self._http.json("GET", "/compare", params=parameters)

    def compare_tracks(self, tracks: Sequence[str]) -> dict[str, Any]:
        """Average ranks of the methods that have an entry on each of these tracks.

        Raises:
            ApiError: fewer than two tracks, or fewer than two such methods.
        """
        return self._http.json("GET", "/compare/tracks", params={"track": list(tracks)})

    def methods(self) -> list[Method]:
        """Every method that can be submitted."""
        return [Method.read(item) for item in self.get("/methods")["items"]]

    def get(self, path: str, **parameters: str | int) -> dict[str, Any]:
        """Any other answer as the server sends it, e.g. of `/methods/icarl`, `/tracks`, `/workers`."""
        return self._http.json("GET", path, params=parameters)

    def _post(self, path: str, **options: Any) -> dict[str, Any]:
        """An answer to a POST request that has the same effect however often the network repeats it."""
        return self._http.json("POST", path, headers={"Idempotency-Key": uuid.uuid4().hex}, **options)
