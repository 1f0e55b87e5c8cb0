"""`Client` against the real application over failing networks: nothing is lost and nothing happens twice."""

from __future__ import annotations

import threading
import time

import pytest

from api.client import ApiError, Client, ConfigurationError, UnreachableError, http_session, sdk, streams

DIGITS = "digits-b0-inc2-m50-convnet"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WAIT_LONG = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
PAGE = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n"
    b"<h1>Lost</h1>"
)
MOVED = (
    b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://cil.example.org/api/v1/methods\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def test_a_job_is_submitted_followed_and_read(sdk: Client, service) -> None:
    job = sdk.submit("replay", DIGITS, [1, 2], name="first")
    assert (job.state, job.method, job.track, job.name, [run.seed for run in job.runs]) == (
        "queued",
        "replay",
        DIGITS,
        "first",
        [1, 2],
    )
    service.complete_all()
    kinds = [event.kind for event in sdk.follow(job.id)]
    assert (kinds[0], kinds[-1], kinds.count("task_evaluated")) == ("job_submitted", "job_finished", 10)
    done = sdk.wait(job.id)
    assert (done.state, done.is_finished) == ("succeeded", True)
    run = sdk.run(done.runs[0].id)
    assert (run.state, run.seed, sorted(run.classifiers)) == ("succeeded", 1, ["linear", "nme"])
    assert run.classifiers["linear"].summary["average_accuracy"] == done.runs[0].average_accuracy
    (entry,) = sdk.leaderboard(DIGITS).items
    assert (entry.rank, entry.method, [one.run_id for one in entry.runs]) == (
        1,
        "replay",
        [one.id for one in done.runs],
    )
    assert sdk.export(DIGITS, "csv").startswith("track,rank,method")
    assert sdk.submit("replay", DIGITS, [1, 2]).reused
    assert not sdk.submit("replay", DIGITS, [1, 2], force=True).reused


def test_a_recipe_and_a_track_may_be_spelled_out(sdk: Client) -> None:
    track = {
        "dataset": "digits",
        "protocol": {"first": 4, "increment": 3},
        "memory": {"kind": "per_class", "amount": 5},
        "backbone": "convnet",
    }
    job = sdk.submit({"name": "icarl", "preset": "small", "temperature": 3}, track, (7,))
    assert job.track == "digits-b4-inc3-m5pc-convnet"
    assert job.model_extra["spec"]["method"]["temperature"] == 3


def test_every_method_has_its_card(sdk: Client) -> None:
    icarl = next(method for method in sdk.methods() if method.name == "icarl")
    assert (icarl.title, icarl.classifiers) == ("iCaRL", ("nme", "linear"))
    assert "small" in icarl.presets


def test_a_refusal_names_each_fault(sdk: Client) -> None:
    with pytest.raises(ApiError) as refusal:
        sdk.submit({"name": "icarl", "temperatur": 3}, DIGITS, [])
    assert (refusal.value.status, refusal.value.kind) == (422, "invalid-body")
    first, *faults = str(refusal.value).splitlines()
    assert first.startswith("Invalid body (422)")
    assert [fault.split(":")[0].strip() for fault in faults] == ["/method/temperatur", "/seeds"]
    with pytest.raises(ApiError, match="Valid token required"), Client(sdk.server) as anonymous:
        anonymous.submit("replay", DIGITS, [1])


def test_a_wrong_query_parameter_is_named(sdk: Client) -> None:
    with pytest.raises(ApiError, match="sort: 'luck' is not allowed"):
        sdk.leaderboard(DIGITS, sort="luck")


def test_jobs_come_page_by_page(sdk: Client) -> None:
    made = [sdk.submit("replay", DIGITS, [seed]).id for seed in range(5)]
    assert [job.id for job in sdk.jobs(limit=2)] == made[::-1]
    assert [job.id for job in sdk.jobs(method="icarl")] == []


def test_a_cancelled_job_ends_and_cannot_be_cancelled_again(sdk: Client) -> None:
    job = sdk.submit("replay", DIGITS, [1])
    assert sdk.cancel(job.id).state == "cancelled"
    with pytest.raises(ApiError) as refusal:
        sdk.cancel(job.id)
    assert (refusal.value.status, refusal.value.kind) == (409, "already-terminal")


@pytest.mark.parametrize("fate", ["drop", "deaf", 30, BUSY])
def test_a_submission_that_fails_on_its_way_is_repeated_and_makes_one_job(
    fate, proxy, through: Client, sdk: Client
) -> None:
    proxy.plan.extend([fate, fate])
    job = through.submit("replay", DIGITS, [1])
    assert [one.id for one in sdk.jobs()] == [job.id]
    assert proxy.connections == 3


def test_a_cancellation_is_repeated_when_its_answer_is_lost(proxy, through: Client, sdk: Client) -> None:
    job = sdk.submit("replay", DIGITS, [1])
    proxy.plan.append("deaf")
    assert through.cancel(job.id).state == "cancelled"
    assert proxy.connections == 2


def test_a_refusal_is_not_repeated(proxy, through: Client) -> None:
    with pytest.raises(ApiError):
        through.get("/jobs/job_00000000000000000000000000")
    assert proxy.connections == 1


def test_a_server_that_asks_for_a_long_pause_is_reported_at_once(proxy, through: Client) -> None:
    proxy.plan.append(WAIT_LONG)
    with pytest.raises(ApiError) as refusal:
        through.get("/methods")
    assert refusal.value.status == 429
    assert proxy.connections == 1


def test_an_answer_without_a_problem_document_is_quoted(proxy, through: Client) -> None:
    proxy.plan.append(PAGE)
    with pytest.raises(ApiError, match=r"Not Found \(404\): <h1>Lost</h1>"):
        through.get("/methods")


def test_a_closed_port_is_unreachable(monkeypatch, proxy) -> None:
    proxy.close()
    monkeypatch.setattr(http_session, "TRIES", 2)
    with Client(proxy.url) as client, pytest.raises(UnreachableError, match="does not answer"):
        client.get("/methods")
    with pytest.raises(ConfigurationError, match="character 11 of 15 is white space"):
        Client("http://exa mple")


def test_an_event_stream_that_breaks_is_resumed_without_a_gap_or_a_repetition(
    proxy, through: Client, sdk: Client, service
) -> None:
    job = sdk.submit("replay", DIGITS, [1, 2, 3])
    service.complete_all()
    whole = list(sdk.follow(job.id))
    proxy.plan.extend(["drop", 700, BUSY, 1500, 2000])
    assert list(through.follow(job.id)) == whole
    assert proxy.connections == 6
    assert list(through.follow(job.id, after=whole[-3].sequence)) == whole[-2:]


def test_following_waits_for_later_events(sdk: Client, service) -> None:
    job = sdk.submit("replay", DIGITS, [1])
    events = sdk.follow(job.id)
    assert next(events).kind == "job_submitted"
    threading.Thread(target=service.complete_all).start()
    assert [event.kind for event in events][-1] == "job_finished"


def test_following_gives_up_when_the_server_stays_away(monkeypatch, proxy, through: Client) -> None:
    proxy.close()
    monkeypatch.setattr(sdk, "RECONNECT_SECONDS", 0.6)
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        list(through.follow("job_00000000000000000000000000"))
    assert time.monotonic() - began > 0.6


def test_following_an_unknown_job_is_refused(sdk: Client) -> None:
    with pytest.raises(ApiError, match="404"):
        list(sdk.follow("job_00000000000000000000000000"))


def test_a_redirect_names_the_address_to_use(proxy, through: Client) -> None:
    proxy.plan.append(MOVED)
    with pytest.raises(ApiError, match=r"it redirects to https://cil\.example\.org"):
        through.get("/methods")


def test_an_identifier_stays_one_segment_of_the_path(sdk: Client) -> None:
    for identifier in ("../methods", "..", "a/b", "a?b", "a#b", "\udcff"):
        with pytest.raises(ApiError) as refusal:
            sdk.job(identifier)
        assert refusal.value.status in {404, 422}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_of_events_end_as_their_specification_says(end: str, size: int) -> None:
    data = '{"a": "line\u2028separator\x85\x0b\x1c"}'
    lines = [
        f"data: {data}",
        "id: 1",
        "",
        ": ping",
        "",
        "event: odd",
        "data: x",
        "data: y",
        "",
        "event: end",
        "data: {}",
        "",
    ]
    text = "".join(line + end for line in lines).encode()
    chunks = [text[index : index + size] for index in range(0, len(text), size)]
    events = [("message", data), ("odd", "x\ny"), ("end", "{}")]
    assert list(streams.server_sent_events(chunks)) == events


def test_lines_of_json_end_at_line_feeds_alone() -> None:
    lines = ['{"a": "\u2028\u2029\x85\x0b\x0c\x1c\r"}', "", '{"b": 1}']
    text = "\n".join(lines).encode()
    for size in (1, 3, 1000):
        chunks = [text[index : index + size] for index in range(0, len(text), size)]
        assert list(streams.json_lines(chunks)) == lines
