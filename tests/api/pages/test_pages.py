"""The pages, read as a browser without JavaScript would."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

DIGITS = "digits-b0-inc2-m50-convnet"
PAGE = f"/tracks/{DIGITS}"


class Outline(HTMLParser):
    """Elements with their attributes, and tables as rows of text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if self._cell:
            self.tables[-1][-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def read(client, path):
    answer = client.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return answer.text, Outline(answer.text)


def words(cell):
    return " ".join(cell.split())


def test_the_leaderboard_is_a_real_table_of_the_api_s_numbers(finished):
    _, page = read(finished, PAGE)
    entries = finished.get(f"/api/v1/leaderboards/{DIGITS}").json()["items"]
    rows = page.tables[0][1:]
    assert [words(row[2]).split()[0] for row in rows] == [entry["title"] for entry in entries]
    for row, entry in zip(rows, entries, strict=True):
        accuracy = entry["metrics"]["average_accuracy"]
        shown = f"{100 * accuracy['mean']:.1f}"
        if accuracy["interval"]:
            shown += f" ± {100 * (accuracy['interval'][1] - accuracy['mean']):.1f}"
        assert words(row[3]).removeprefix("★ ") == shown
        assert words(row[1]).removeprefix("◆ ") == (
            f"{entry['rank']} band {entry['band']}" if entry["rank"] else "– upper bound"
        )


def test_the_table_is_marked_up_for_screen_readers(finished):
    text, page = read(finished, PAGE)
    assert text.count("<caption") == len(page.tables) == 2
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert [header["aria-sort"] for header in page.all("th") if "aria-sort" in header] == ["descending"]
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.all("svg"))


def test_the_curves_are_drawn_and_written_out(finished):
    text, page = read(finished, PAGE)
    assert text.count('class="line"') == 4 + 4  # the chart's and the sparklines
    assert [words(cell) for cell in page.tables[1][0]] == ["Classes seen", "2", "4", "6", "8", "10"]


def test_links_to_sort_and_filter_keep_the_other_choices(finished):
    _, page = read(finished, f"{PAGE}?classifier=nme&sort=forgetting")
    assert [header["aria-sort"] for header in page.all("th") if "aria-sort" in header] == ["ascending"]
    links = {link["href"] for link in page.all("a")}
    assert f"{PAGE}?sort=last_accuracy&classifier=nme" in links
    assert f"{PAGE}?sort=forgetting" in links
    assert f"/api/v1/leaderboards/{DIGITS}?sort=forgetting&classifier=nme&format=csv" in links
    for link in sorted(link for link in links if link.startswith("/")):
        assert finished.get(link).status_code == 200, link


def test_pages_need_no_inline_script_or_style(finished):
    _, page = read(finished, PAGE)
    assert all(script["src"].startswith("/static/") for script in page.all("script"))
    assert not page.all("style")
    assert not any(
        "style" in attributes or any(name.startswith("on") for name in attributes)
        for _, attributes in page.elements
    )
    assert "http" not in "".join(link["href"] for link in page.all("link"))


def test_a_picture_embeds_its_style_under_its_own_policy(finished):
    answer = finished.get(f"{PAGE}/curves.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert re.search(r"style-src 'sha256-[\w+/=]+'", answer.headers["Content-Security-Policy"])
    assert "iCaRL" in answer.text


def test_a_track_without_results_says_how_to_submit(client):
    text, page = read(client, PAGE)
    assert "No run has finished on this track yet" in text
    assert f'"track": "{DIGITS}"' in html.unescape(text)
    assert not page.tables
    assert client.get(f"{PAGE}/curves.svg").status_code == 404


def test_an_empty_view_names_its_filters(finished):
    text, _ = read(finished, f"{PAGE}?classifier=nme&exemplar_free=true")
    assert "without exemplars and with the classifier nme" in " ".join(text.split())
    assert f'href="{PAGE}"' in text


def test_the_home_page_lists_tracks_with_their_leaders(finished):
    text, page = read(finished, "/")
    assert {"href": PAGE} in page.all("a")
    assert "Finetune leads with" in text
    assert "4 entries, 10 runs" in text


def test_the_leader_is_found_behind_any_number_of_upper_bounds(client, service, a_job):
    for epochs in range(1, 7):  # six recipes of joint training, all of which do better than A-GEM
        client.post(
            "/api/v1/jobs", json=a_job("joint", (1,), first_task={"epochs": epochs, "milestones": []})
        )
    client.post("/api/v1/jobs", json=a_job("agem", (1,)))
    service.complete_all()
    board = client.get(f"/api/v1/leaderboards/{DIGITS}").json()["items"]
    assert [entry["rank"] for entry in board] == [None] * 6 + [1]
    assert "A-GEM leads with" in read(client, "/")[0]


def test_the_home_page_of_an_empty_service_says_how_to_submit(client):
    text, _ = read(client, "/")
    assert "No job has been submitted yet" in text
    assert "/api/v1/jobs" in text


def test_a_browser_gets_problems_as_pages(client):
    for path, status, said in (
        ("/tracks/<b>x", 404, "&lt;b&gt;x"),
        (f"{PAGE}?sort=x", 422, "average_accuracy, "),
        ("/nothing", 404, "no resource"),
    ):
        answer = client.get(path, headers={"Accept": "text/html,*/*"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert said in answer.text
        assert "<b>x" not in answer.text


def test_the_type_of_a_problem_is_the_address_of_its_page(client):
    kind = client.get("/api/v1/jobs?x=1").json()["type"]
    assert "Unknown parameters are refused" in read(client, kind)[0]


def test_the_best_of_a_column_and_the_pareto_frontier_are_marked(finished):
    board = finished.get(f"/api/v1/leaderboards/{DIGITS}").json()["items"]
    rows = re.findall(r"<tr[^>]*>\s*<td><input.*?</tr>", finished.get(f"/tracks/{DIGITS}").text, re.DOTALL)
    assert len(rows) == len(board)
    leader = max(
        (entry for entry in board if entry["rank"]),
        key=lambda entry: entry["metrics"]["average_accuracy"]["mean"],
    )
    starred = [entry["id"] for entry, row in zip(board, rows, strict=True) if "★" in row]
    assert leader["id"] in starred
    assert not [entry["id"] for entry in board if entry["rank"] is None and entry["id"] in starred]
    assert [entry["pareto"] for entry in board] == ["◆" in row for row in rows]
    assert any(entry["pareto"] for entry in board)


def test_home_shows_the_latest_jobs_with_their_states(client, service, a_job):
    job = client.post("/api/v1/jobs", json={**a_job("wa", (1, 2)), "name": "<mine>"}).json()
    _, page = read(client, "/")
    assert [words(cell) for cell in page.tables[0][1]][:5] == ["WA <mine>", DIGITS, "queued", "ada", "0 of 2"]
    service.complete_all()
    text, page = read(client, "/")
    assert [words(cell) for cell in page.tables[0][1]][2:5] == ["succeeded", "ada", "2 of 2"]
    assert f'href="/jobs/{job["id"]}"' in text
    assert "<mine>" not in text
