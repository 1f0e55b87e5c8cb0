"""`Client`: the HTTP API in Python.

    from api.client import Client

    with Client.found() as client:
        job = client.submit({"name": "icarl", "preset": "small"}, "digits-b0-inc2-m50-convnet", seeds=[1, 2, 3])
        print(client.wait(job.id).state)

Decisions:
    * A submission carries an Idempotency-Key and is repeated when the connection fails or the server is overloaded: it never makes two jobs.
    * `follow` resumes the event stream where it broke off, by the last sequence seen.
    * Answers are typed; `get` gives any other as it comes.
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
from api.client.models import Event, Job, Leaderboard, Method, Run
from api.client.transport import StreamBroken, Transport

PATIENCE_SECONDS = 60.0
"""How long `follow` tries to reach a server that has gone."""


class Client:
    """A connection to one service.

    Args:
        server: its address, e.g. `http://127.0.0.1:8000`.
        token: for writing.
        timeout: seconds a request may take.
    """

    def __init__(self, server: str, token: str | None = None, timeout: float = 30) -> None:
        self.server = server.rstrip("/")
        self._transport = Transport(self.server, token, timeout)

    @classmethod
    def found(cls, server: str | None = None, token: str | None = None) -> Self:
        """The service that is given, in CIL_SERVER, running here, or logged in to.

        Raises:
            NoServerError: if there is none.
        """
        connection = find(server, token)
        return cls(connection.server, connection.token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

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
        """Submit a job; what has finished already is not executed again unless `force`.

        Args:
            method: its name, or its recipe: `{"name": "icarl", "preset": "small", "temperature": 3}`.
            track: its slug, or the whole track.
            seeds: one run each.
            name: a note for people.
            force: execute again what has finished already.

        Raises:
            ApiError: the server refused it, with the faults field by field.
        """
        recipe = {"name": method} if isinstance(method, str) else dict(method)
        body = {
            "method": recipe,
            "track": track if isinstance(track, str) else dict(track),
            "seeds": list(seeds),
            **({"name": name} if name else {}),
        }
        return self.submit_json(body, force=force)

    def submit_json(self, body: Any, *, force: bool = False) -> Job:
        """Submit a job as the API takes it."""
        answer = self._transport.request(
            "POST", "/jobs", json=body, params={"force": "true"} if force else None, headers=_new_key()
        )
        return Job.model_validate(answer.json())

    def job(self, job_id: str) -> Job:
        """A job with its runs."""
        return Job.model_validate(self.get(f"/jobs/{job_id}"))

    def jobs(self, **filters: str | int) -> Iterator[Job]:
        """Jobs, the newest first, page by page; filters: state, method, track, user, created_after, limit (of a page)."""
        parameters: dict[str, str | int] = dict(filters)
        while True:
            page = self.get("/jobs", **parameters)
            yield from map(Job.model_validate, page["items"])
            if not page["next_cursor"]:
                return
            parameters["cursor"] = page["next_cursor"]

    def cancel(self, job_id: str) -> Job:
        """Ask for a job's end.

        Raises:
            ApiError: 409 if it has ended already.
        """
        return Job.model_validate(
            self._transport.request("POST", f"/jobs/{job_id}/cancellation", headers=_new_key()).json()
        )

    def wait(self, job_id: str, poll_seconds: float = 0.5) -> Job:
        """The job once it has ended."""
        while not (job := self.job(job_id)).is_finished:
            time.sleep(poll_seconds)
        return job

    def follow(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """A job's events, live, until it has ended; a broken connection is resumed.

        Args:
            job_id: the job.
            after: sequence of the last event that is known; 0 for all.

        Raises:
            UnreachableError: the server was away for `PATIENCE_SECONDS`.
        """
        away_since: float | None = None
        while True:
            try:
                with self._transport.stream(f"/jobs/{job_id}/events", after) as events:
                    away_since = None
                    for fields in events:
                        event = Event.model_validate(fields)
                        after = event.sequence
                        yield event
                return
            except (StreamBroken, ApiError) as error:
                if isinstance(error, ApiError) and error.status < 500:
                    raise
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > PATIENCE_SECONDS:
                    raise UnreachableError(f"{self.server} does not answer: {error}") from error
            time.sleep(0.5)

    def replay(self, run_id: str) -> Job:
        """Execute a finished run again, to see whether it gets the same results.

        Raises:
            ApiError: it cannot be replayed.
        """
        return Job.model_validate(
            self._transport.request("POST", f"/runs/{run_id}/replay", headers=_new_key()).json()
        )

    # ------------------------------------------------------------------ results and catalogue

    def report(self, body: Any) -> dict[str, Any]:
        """Report a result that was computed elsewhere, as the API takes it: track, title, citation, and `curve` or `matrix`.

        Raises:
            ApiError: the server refused it, with the faults field by field.
        """
        answer: dict[str, Any] = self._transport.request(
            "POST", "/results", json=body, headers=_new_key()
        ).json()
        return answer

    def withdraw(self, result_id: str) -> dict[str, Any]:
        """Take a reported result back; answers what it was."""
        answer: dict[str, Any] = self._transport.request("DELETE", f"/results/{result_id}").json()
        return answer

    def snapshot(self, directory: Path, *, parquet: bool = True) -> dict[str, Any]:
        """Write everything public of the service into a new directory; see `api.client.snapshot`.

        Args:
            directory: must not be there yet.
            parquet: write Parquet files too, which needs pyarrow.

        Returns:
            The manifest.

        Raises:
            SnapshotError: it cannot be written.
        """
        with self._transport.lines("/snapshot") as lines:
            return snapshot.write(lines, directory, self.server, parquet)

    def run(self, run_id: str) -> Run:
        """A run: metrics, accuracy matrices, environment, attempts."""
        return Run.model_validate(self.get(f"/runs/{run_id}"))

    def leaderboard(self, track: str, **parameters: str) -> Leaderboard:
        """The entries of a track; parameters: sort, classifier, exemplar_free, best_per_method."""
        return Leaderboard.model_validate(self.get(f"/leaderboards/{track}", **parameters))

    def export(self, track: str, format: str, **parameters: str) -> str:  # noqa: A002 - the API's own word
        """The leaderboard as text: csv, latex or markdown."""
        return self._transport.request(
            "GET", f"/leaderboards/{track}", params={"format": format, **parameters}
        ).text

    def compare(self, entries: Sequence[str], baseline: str | None = None) -> dict[str, Any]:
        """2 to 8 entries of one track side by side, compared with `baseline` (the first of them if not given).

        Raises:
            ApiError: an entry does not exist, or they cannot stand side by side.
        """
        parameters = {"entry": list(entries), **({"baseline": baseline} if baseline else {})}
        answer: dict[str, Any] = self._transport.request("GET", "/compare", params=parameters).json()
        return answer

    def compare_tracks(self, tracks: Sequence[str]) -> dict[str, Any]:
        """Average ranks of the methods that stand on all these tracks.

        Raises:
            ApiError: fewer than two tracks, or fewer than two such methods.
        """
        answer: dict[str, Any] = self._transport.request(
            "GET", "/compare/tracks", params={"track": list(tracks)}
        ).json()
        return answer

    def methods(self) -> list[Method]:
        """Every method that can be submitted."""
        return [Method.model_validate(item) for item in self.get("/methods")["items"]]

    def get(self, path: str, **parameters: str | int) -> dict[str, Any]:
        """Any other question as it is answered, e.g. `/methods/icarl`, `/tracks`, `/datasets`, `/workers`."""
        answer: dict[str, Any] = self._transport.request("GET", path, params=parameters).json()
        return answer


def _new_key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}
