"""Follows the links of the site: every page, asset and form that a reader can reach from the first page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx

FOLLOWED = {"href", "src", "data-hx-get"}
QUERIES_PER_PATH = 2
"""Followed variants of one page: a leaderboard links to hundreds of its own views."""


class _Addresses(HTMLParser):
    """The attributes of a page that hold an address of this site, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what begins like an absolute path, in whichever attribute."""
        self.found += [(name, value) for name, value in attrs if value and value.startswith("/")]


@dataclass
class Crawl:
    """The site as a browser sees it.

    Attributes:
        answers: by address, without the fragment.
        addresses: attribute and address of everything that any page links, loads or sends to.
    """

    answers: dict[str, httpx.Response] = field(default_factory=dict)
    addresses: set[tuple[str, str]] = field(default_factory=set)


def crawl(client: httpx.Client, start: str) -> Crawl:
    """Read `start` and everything it leads to; event streams are not opened."""
    site, waiting = Crawl(), [start]
    while waiting:
        address = waiting.pop()
        if address in site.answers or _is_enough(site, address):
            continue
        answer = site.answers[address] = client.get(address, headers={"Accept": "text/html, */*"})
        if answer.headers.get("content-type", "").startswith("text/html"):
            page = _Addresses()
            page.feed(answer.text)
            site.addresses.update(page.found)
            links = [value for name, value in page.found if name in FOLLOWED]
            waiting += [urljoin(address, link).partition("#")[0] for link in links]
    return site


def _is_enough(site: Crawl, address: str) -> bool:
    path = urlsplit(address).path
    return sum(urlsplit(known).path == path for known in site.answers) >= QUERIES_PER_PATH
