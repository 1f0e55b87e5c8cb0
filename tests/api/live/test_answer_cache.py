"""Rendered responses are found by their tag while it is current, and never later."""

from __future__ import annotations

from sqlalchemy import event

from api.live.answer_cache import AnswerCache

BOARD = "/api/v1/leaderboards/digits-b0-inc2-m50-convnet"


def test_the_least_recently_used_response_is_evicted_first():
    cache = AnswerCache(max_bytes=10)
    cache.keep("a", b"12345")
    cache.keep("b", b"12345")
    assert cache.get("a") == b"12345"
    cache.keep("c", b"1")
    assert [cache.get(tag) for tag in "abc"] == [b"12345", None, b"1"]


def test_a_repeated_response_counts_once_and_an_oversized_one_is_not_kept():
    cache = AnswerCache(max_bytes=10)
    for _ in range(5):
        cache.keep("a", b"123456")
    cache.keep("huge", b"x" * 11)
    cache.keep("b", b"1234")
    assert [cache.get(tag) for tag in ("a", "b", "huge")] == [b"123456", b"1234", None]


def test_a_leaderboard_is_rendered_once_per_change(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job())
    service.complete_all()
    asked: list[str] = []
    listened = client.get(BOARD).json()  # described, and kept
    engine = service.app.state.database.engine
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    again = client.get(BOARD)
    assert again.json() == listened
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1  # the revision
    client.post("/api/v1/jobs", json=a_job("icarl"))
    service.complete_all()
    changed = client.get(BOARD, headers={"If-None-Match": again.headers["ETag"]})
    assert (changed.status_code, len(changed.json()["items"])) == (200, 2)
