"""`make screenshots`: the real pages over the demo's data, in a real Chromium, into docs/screenshots/."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from api.client import Client, suites
from api.stack.demo import TRACK, serving
from cil_core.spec.suites import SUITES

FOLDER = Path(__file__).parent / "screenshots"
BUDGETS = SUITES["digits-budgets"]
WIDTH, HEIGHT = 1280, 900


def addresses(client: Client) -> dict[str, str]:
    """The pages by file name."""
    entries = client.leaderboard(TRACK).items
    if len(entries) < 3:
        raise SystemExit(f"{TRACK} has {len(entries)} entries, fewer than 3; run `make demo` first")
    chosen = "&".join(f"entry={entry.id}" for entry in [entry for entry in entries if entry.rank][:3])
    job = next(iter(client.jobs(limit=1)))
    tracks = "&".join(f"track={slug}" for slug in BUDGETS.tracks)
    return {
        "home": "/",
        "leaderboard": f"/tracks/{TRACK}",
        "compare": f"/compare?{chosen}",
        "run": f"/runs/{entries[0].runs[0].run_id}",
        "job": f"/jobs/{job.id}",
        "jobs": "/jobs",
        "ranks": f"/ranks?{tracks}",
        "budgets": f"/budgets?{tracks}",
        "methods": "/methods",
        "method": "/methods/icarl",
        "datasets": "/datasets",
        "workers": "/workers",
        "submit": "/submit?method=bic",
        "reported": "/tracks/cifar100-b0-inc10-m2000-resnet32",
    }


def take(page: Page, address: str, file: Path) -> None:
    """One page, up to a screen and a half."""
    page.goto(address)
    for figure in page.locator("figure[data-chart]").all():
        figure.get_by_role("toolbar").wait_for()
    page.screenshot(
        path=file,
        clip={
            "x": 0,
            "y": 0,
            "width": WIDTH,
            "height": min(HEIGHT * 1.5, page.evaluate("document.body.scrollHeight")),
        },
        full_page=True,
    )


def main() -> None:
    """Take every screenshot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var/demo"))
    chosen = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is not installed; `sh tests/browser.sh` installs it")
    console = Console(stderr=True)
    with (
        serving(chosen.data_dir, console) as connection,
        Client(connection.server, connection.token) as client,
        sync_playwright() as playwright,
    ):
        suites.watch(client, suites.submit(client, BUDGETS), console)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        for name, address in addresses(client).items():
            take(page, connection.server + address, FOLDER / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
