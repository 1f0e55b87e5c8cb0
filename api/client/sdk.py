"""`Client`: the HTTP API in Python.

    from api.client import Client

    with Client.found() as client:
        job = client.submit({"name": "icarl", "preset": "small"}, "digits-b0-inc2-m50-convnet", seeds=[1, 2, 3])
        print(client.wait(job.id).state)

Decisions:
    * A submission carries an Idempotency-Key and is repeated when the connection fails or the server is overloaded: it never makes two jobs.
    * `follow` resumes the event stream where it broke off, by the last sequence seen.
    * Errors carry the server's problem document: its title, detail and the faults field by field.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import httpx

from api.client.answers import Event, Job, Leaderboard
from api.client.connection import Connection, find

TRIES = 6
RETRIED = frozenset({429, 502, 503, 504})


class ApiError(Exception):
    """The server refused a request.

    Attributes:
        status: the HTTP status.
        problem: the problem document (RFC 9457).
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        faults = "".join(f"\n  {fault.get('pointer') or '/'}: {fault.get('detail')}" for fault in problem.get("errors", ()))
        super().__init__(f"{problem.get('title', 'error')} ({status}): {problem.get('detail', '')}{faults}")


class Client:
    """A connection to one service.

    Args:
        server: its address, e.g. `http://127.0.0.1:8000`.
        token: for writing.
        timeout: seconds a request may take.
    """

    def __init__(self, server: str, token: str | None = None, timeout: float = 30) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.server = server.rstrip("/")
        self._http = httpx.Client(base_url=f"{self.server}/api/v1", headers=headers, timeout=timeout)

    @classmethod
    def found(cls, server: str | None = None, token: str | None = None) -> Self:
        """The service that is given, in CIL_SERVER, running here, or logged in to; raises NoServerError if there is none."""
        connection: Connection = find(server, token)
        return cls(connection.server, connection.token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # ------------------------------------------------------------------ jobs

    def submit(self, method: Mapping[str, Any], track: str | Mapping[str, Any], seeds: Sequence[int], *, name: str | None = None, force: bool = False) -> Job:
        """Submit a job; a finished identical one is answered at once unless `force`.

        Raises:
            ApiError: the server refused it, with the faults field by field.
        """
        body = {"method": dict(method), "track": track if isinstance(track, str) else dict(track), "seeds": list(seeds), **({"name": name} if name else {})}
        answer = self._request("POST", "/jobs", json=body, params={"force": "true"} if force else None, headers={"Idempotency-Key": uuid.uuid4().hex})
        return Job.model_validate(answer.json())

    def job(self, job_id: str) -> Job:
        """A job with its runs."""
        return Job.model_validate(self.get(f"/jobs/{job_id}"))

    def jobs(self, **filters: str | int) -> Iterator[Job]:
        """Jobs, the newest first, page by page; filters: state, method, track, user, created_after, limit."""
        parameters: dict[str, str | int] = dict(filters)
        while True:
            page = self.get("/jobs", **parameters)
            yield from map(Job.model_validate, page["items"])
            if not page["next_cursor"]:
                return
            parameters["cursor"] = page["next_cursor"]

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end.

        Raises:
            ApiError: 409 if it has ended already.
        """
        self._request("POST", f"/jobs/{job_id}/cancellation")

    def wait(self, job_id: str, poll_seconds: float = 0.5) -> Job:
        """The job once it has ended."""
        while not (job := self.job(job_id)).is_finished:
            time.sleep(poll_seconds)
        return job

    def follow(self, job_id: str) -> Iterator[Event]:
        """A job's events, from the first until it has ended; a broken connection is resumed."""
        last, failures = 0, 0
        while True:
            try:
                for event in self._stream(job_id, last):
                    last, failures = event.sequence, 0
                    yield event
            except httpx.TransportError:
                failures += 1
                if failures == TRIES:
                    raise
                time.sleep(min(2**failures / 4, 5))
            else:
                return

    def _stream(self, job_id: str, after: int) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
        with self._http.stream("GET", f"/jobs/{job_id}/events", headers=headers, timeout=httpx.Timeout(30, read=90)) as response:
            if response.status_code >= 400:
                response.read()
                raise _error(response)
            kind, data = "message", ""
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    kind = value
                elif field == "data":
                    data += value
                elif not line and kind == "end":
                    return
                elif not line and data:
                    yield Event.model_validate(json.loads(data))
                    kind, data = "message", ""
        raise httpx.RemoteProtocolError("the event stream ended before the job did")

    # ------------------------------------------------------------------ results and catalogue

    def run(self, run_id: str) -> dict[str, Any]:
        """A run: metrics, curve, matrix, environment, attempts."""
        return self.get(f"/runs/{run_id}")

    def leaderboard(self, track: str, **parameters: str) -> Leaderboard:
        """The entries of a track; parameters: sort, classifier."""
        return Leaderboard.model_validate(self.get(f"/leaderboards/{track}", **parameters))

    def export(self, track: str, format: str, **parameters: str) -> str:  # noqa: A002 — the API's own word
        """The leaderboard as text: csv, latex or markdown."""
        return self._request("GET", f"/leaderboards/{track}", params={"format": format, **parameters}).text

    def get(self, path: str, **parameters: str | int) -> dict[str, Any]:
        """Any other question, e.g. `/methods`, `/methods/icarl`, `/tracks`, `/datasets`, `/workers`."""
        answer: dict[str, Any] = self._request("GET", path, params=parameters).json()
        return answer

    def _request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """One request, repeated where that is safe: reads, and writes that carry an Idempotency-Key."""
        repeatable = verb == "GET" or "Idempotency-Key" in options.get("headers", {})
        for attempt in range(1, TRIES + 1):
            try:
                response = self._http.request(verb, path, **options)
            except httpx.TransportError:
                if not repeatable or attempt == TRIES:
                    raise
                time.sleep(min(2**attempt / 10, 3))
                continue
            if response.status_code not in RETRIED or not repeatable or attempt == TRIES:
                break
            time.sleep(min(float(response.headers.get("Retry-After", 2**attempt / 10)), 10))
        if response.status_code >= 400:
            raise _error(response)
        return response


def _error(response: httpx.Response) -> ApiError:
    try:
        problem = response.json()
    except ValueError:
        problem = {"title": response.reason_phrase, "detail": response.text[:500]}
    return ApiError(response.status_code, problem)
