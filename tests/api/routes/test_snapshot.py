"""`GET /snapshot`: one JSON record per line, for every reader of lines."""

from __future__ import annotations

import json

from store.access.accounts import create_user
from store.leaderboard.reported import NewReportedResult, add_reported_result


def test_text_with_line_separators_stays_within_its_line(client, service):
    title = "a\u2028b\u2029c\x85d"  # older versions accepted it
    with service.database.transaction() as session:
        user = create_user(session, "grace")
        numbers = NewReportedResult(title=title, citation="a paper", curve=[0.9, 0.8])
        add_reported_result(
            session, numbers, user_id=user.id, track_slug="digits-b0-inc5-m50-convnet", task_sizes=(5, 5)
        )
    records = [json.loads(line) for line in client.get("/api/v1/snapshot").text.splitlines()]
    assert [record["kind"] for record in records] == ["snapshot", "reported", "end"]
    assert records[1]["title"] == title
