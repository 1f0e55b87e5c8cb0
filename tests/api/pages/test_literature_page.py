"""How far sources disagree, as a page."""

from __future__ import annotations

import re

ADDRESS = "/literature"


def read(client, address=ADDRESS):
    answer = client.get(address, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return " ".join(answer.text.split())


def test_the_page_states_the_counts_of_the_api_and_how_sources_count(client):
    text = read(client)
    last = client.get("/api/v1/literature/disagreement").json()["last"]
    assert "<h1>How far do sources disagree?</h1>" in text
    assert f"In last accuracy, {last['over_1']} of {last['cells']} differ by more than 1 point" in text
    assert "SimpleCIL, which trains nothing, differs by at most" in text
    assert "none was measured here" in text
    assert "A source is a team." in text
    assert "<script" not in text


def test_every_cell_has_its_figures_kind_and_citation(client):
    text = read(client, f"{ADDRESS}?method=L2P&dataset=CUB-200")
    assert text.count('<th scope="rowgroup">L2P on CUB-200') == 2
    assert (
        '<a href="https://arxiv.org/abs/2403.12030" rel="noopener">Zhou et al., EASE, CVPR 2024</a>' in text
    )
    assert "<td>67.05</td> <td>56.25</td>" in text
    assert "<strong>14.06</strong>" in text
    assert re.search(r'<span class="badge reported" title="[^"]+">rerun</span>', text)
    assert "Geo-LoRA" not in text


def test_filters_are_kept_in_the_address_and_in_the_form(client):
    text = read(client, f"{ADDRESS}?method=L2P&dataset=&second_hand=true")
    assert "not counted: may be a copy" in text
    assert '<option value="L2P" selected>' in text
    assert '<option value="true" selected>' in text
    assert 'href="/literature?method=L2P&amp;second_hand=true&amp;dataset=VTAB"' in text
    assert 'href="/api/v1/literature/disagreement?method=L2P&amp;second_hand=true"' in text


def test_filters_without_a_match_are_explained(client):
    text = read(client, f"{ADDRESS}?method=%3Cb%3E")
    assert "No cell with two or more independent sources matches these filters." in text
    assert '<option value="&lt;b&gt;" selected>' in text


def test_the_first_page_and_the_navigation_link_to_it(client):
    assert read(client, "/").count('href="/literature"') == 2
    assert read(client, "/methods").count('href="/literature"') == 1


def test_figures_keep_the_digits_of_their_source(client):
    from api.pages.formats import printed

    assert [printed(figure) for figure in (85.8, 63.384, 77.1, 100.0, None)] == [
        "85.80",
        "63.384",
        "77.10",
        "100.00",
        "–",
    ]
