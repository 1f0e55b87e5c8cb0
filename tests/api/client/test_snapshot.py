"""`cil export` and `cil import`: everything public of a service on disk, checked, and back."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from api.client.snapshot_tables import COLUMNS
from store.database.models import ReportedResult

DIGITS = "digits-b0-inc2-m50-convnet"


@pytest.fixture
def exported(connected, service, nowhere) -> Path:
    """A snapshot of a service on which replay and iCaRL have finished."""
    for method in ("replay", "icarl"):
        connected("submit", "--method", method, "--track", DIGITS, "--seeds", "1,2")
    service.complete_all()
    done = connected("export", "--out", "saved")
    assert done.code == 0, done.err
    assert "4 run, 0 reported, 2 entry, in 11 files" in done.out
    return nowhere / "saved"


def test_every_table_is_written_as_csv_and_as_parquet_with_equal_rows(exported):
    for table, columns in COLUMNS.items():
        with (exported / f"{table}.csv").open(newline="") as file:
            written = list(csv.DictReader(file))
        parquet = pq.read_table(exported / f"{table}.parquet")
        assert parquet.column_names == list(columns)
        assert parquet.num_rows == len(written)
        for row, same in zip(written, parquet.to_pylist(), strict=True):
            assert row == {name: "" if value is None else str(value) for name, value in same.items()}
    cells = pq.read_table(exported / "matrices.parquet").to_pylist()
    assert len(cells) == 2 * 15 * (2 + 2)  # two seeds, 15 cells per matrix, two classifiers of two methods
    assert all(cell["accuracy"] == cell["correct"] / cell["test_images"] for cell in cells)


def test_an_export_is_loaded_into_another_database(exported, connected, sdk, databases):
    with databases.url("postgresql") as url:
        done = connected("import", str(exported), "--database-url", url)
        assert (done.code, done.out) == (0, "new: 0 dataset, 1 track, 4 run, 0 reported\n")
        again = connected("import", str(exported), "--database-url", url)
        assert again.out == "new: 0 dataset, 0 track, 0 run, 0 reported\n"


def test_a_changed_or_missing_file_is_noticed_before_anything_is_loaded(exported, connected, sqlite_url):
    whole = (exported / "snapshot.jsonl").read_text()
    (exported / "snapshot.jsonl").write_text(whole.replace('"seed":1', '"seed":3', 1))
    changed = connected("import", str(exported), "--database-url", sqlite_url)
    assert (changed.code, "snapshot.jsonl was changed" in changed.err) == (2, True)
    (exported / "snapshot.jsonl").unlink()
    assert "snapshot.jsonl is missing" in connected("import", str(exported), "--database-url", sqlite_url).err
    (exported / "manifest.json").write_text("{}")
    assert "is not a snapshot" in connected("import", str(exported), "--database-url", sqlite_url).err


def test_titles_with_unicode_separators_survive_export_and_import(
    connected, service, nowhere, databases
) -> None:
    title = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1eh"
    _, token = service.add_user("grace", ("results:write",))
    result = {"track": DIGITS, "title": "A", "citation": "Someone 2026", "curve": [0.9, 0.8, 0.7, 0.6, 0.5]}
    (nowhere / "result.json").write_text(json.dumps(result))
    assert connected("report", "result.json", "--token", token).code == 0
    with service.database.transaction() as session:
        session.execute(update(ReportedResult).values(title=title))
    done = connected("export", "--out", "saved")
    assert (done.code, done.err) == (0, "")
    with databases.url("sqlite") as url, databases.opened(url) as copy:
        assert connected("import", "saved", "--database-url", url).code == 0
        with copy.reading() as session:
            assert session.scalars(select(ReportedResult.title)).all() == [title]


def test_an_existing_directory_is_not_touched(exported, connected):
    before = (exported / "manifest.json").read_bytes()
    done = connected("export", "--out", str(exported))
    assert (done.code, "exists already" in done.err) == (1, True)
    assert (exported / "manifest.json").read_bytes() == before


def test_without_pyarrow_the_error_names_the_package_and_csv_still_works(connected, nowhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert (
        "pip install 'cil-leaderboard[parquet]', or give --no-parquet"
        in connected("export", "--out", "saved").err
    )
    assert not (nowhere / "saved").exists()
    assert connected("export", "--out", "saved", "--no-parquet").code == 0
    assert json.loads((nowhere / "saved" / "manifest.json").read_text())["counts"]["run"] == 0
    assert not list((nowhere / "saved").glob("*.parquet"))


def test_a_service_that_stops_in_the_middle_leaves_nothing_behind(connected, proxy, nowhere, monkeypatch):
    proxy.plan.append(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
        b'{"kind": "snapshot", "format": "cil-snapshot"}\n'
    )
    monkeypatch.setenv("CIL_SERVER", proxy.url)
    done = connected("export", "--out", "saved")
    assert (done.code, "stopped before the end of the snapshot" in done.err) == (1, True)
    assert list(nowhere.iterdir()) == []


def test_snapshots_are_limited_for_each_address(service_of, serving_of):
    with serving_of(service_of(snapshots_per_minute=2)) as served, served.client() as client:
        codes = [client.get("/api/v1/snapshot").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
