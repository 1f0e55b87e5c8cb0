"""The list of methods narrows down by what recipes declare."""

from __future__ import annotations

import re

import pytest

from api.pages.method_filters import costs, keeps
from cil_core.spec.recipes import BY_NAME


def listed(client, **filters: str) -> set[str]:
    answer = client.get("/methods", params=filters)
    assert answer.status_code == 200, answer.text
    return set(re.findall(r'<th scope="row"><a href="[^"]*/methods/([\w-]+)"', answer.text))


@pytest.mark.parametrize(
    ("filters", "shown", "hidden"),
    [
        ({"family": "expansion"}, {"der", "tagfex", "beef"}, {"icarl", "finetune"}),
        ({"year": "2017"}, {"icarl", "si"}, {"lwf"}),
        ({"exemplars": "none"}, {"mas", "pass"}, {"gdumb", "afc"}),
        ({"exemplars": "kept", "growth": "last stage"}, {"memo"}, {"der", "replay"}),
        ({"pretrained": "required"}, {"l2p"}, {"gdumb"}),
    ],
)
def test_filters_show_the_methods_that_pass_all_of_them(client, filters, shown, hidden):
    found = listed(client, **filters)
    assert shown <= found
    assert not hidden & found


def test_empty_fields_of_the_form_filter_nothing(client):
    assert listed(client, family="", year="", exemplars="", pretrained="", growth="") == set(BY_NAME)


def test_a_choice_stays_selected_and_can_be_undone(client):
    text = client.get("/methods", params={"family": "expansion"}).text
    assert '<option value="expansion" selected>' in text
    assert ">All methods</a>" in text


def test_filters_that_no_method_passes_say_so(client):
    text = client.get("/methods", params={"family": "baseline", "growth": "backbone"}).text
    assert "No method passes these filters." in text


def test_an_unknown_value_is_refused(client):
    assert client.get("/methods", params={"family": "magic"}).status_code == 422


def test_a_method_s_page_says_what_it_keeps_and_costs(client):
    text = client.get("/methods/der").text
    assert keeps(BY_NAME["der"]) in text.replace("&#39;", "'")
    assert costs(BY_NAME["der"]) in text


def test_what_is_kept_and_what_it_costs_follow_from_the_recipe():
    assert keeps(BY_NAME["mas"]) == "Keeps no exemplars; the network keeps its size."
    assert (
        keeps(BY_NAME["beef"])
        == "Keeps exemplars within the track's budget; the network adds a backbone per task."
    )
    assert costs(BY_NAME["beef"]) == "Epochs by default: 200 (first task), 170 (later tasks), 60 (fusion)."
