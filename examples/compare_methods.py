"""Three methods, from submission to a table and a figure for a paper.

make serve                                 # or any service stored with `cil login URL --token …`
python examples/compare_methods.py out/    # writes out/leaderboard.tex and out/curves.svg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")  # needs no display

import matplotlib.pyplot as plt

from api.client import Client
from api.client.models import Entry

TRACK = "digits-b0-inc2-m50-convnet"
METHODS = ("icarl", "wa", "replay")
SEEDS = (1993, 1994, 1995)


def main(directory: Path) -> None:
    """Submit three jobs, wait for them, compare their entries, write the table and the figure."""
    directory.mkdir(parents=True, exist_ok=True)
    with Client.found() as client:
        # The service reuses finished runs: a second call costs nothing.
        jobs = [
            client.submit({"name": name, "preset": "small"}, TRACK, SEEDS, name="example") for name in METHODS
        ]
        for job in jobs:
            done = client.wait(job.id)
            print(f"{done.method}: {done.state}")
            if done.state != "succeeded":
                sys.exit(f"{done.id} {done.state}: {[run.message for run in done.runs]}")
        entries = [
            entry
            for entry in client.leaderboard(TRACK).items
            if entry.method in METHODS and entry.variant == "small"
        ]
        comparison = client.compare([entry.id for entry in entries])
        (directory / "leaderboard.tex").write_text(client.export(TRACK, "latex"), encoding="utf-8")
    titles = {entry.id: entry.title for entry in entries}
    for difference in comparison["differences"]:
        test = difference["tests"]["average_accuracy"]
        print(sentence(titles[difference["entry"]], titles[comparison["baseline"]], test))
    draw(entries, directory / "curves.svg")
    print(f"wrote {directory / 'leaderboard.tex'} and {directory / 'curves.svg'}")


def sentence(title: str, baseline: str, test: dict[str, Any]) -> str:
    """A paired difference over shared seeds in words, with the p value corrected for several comparisons."""
    p, seeds = test["t_p_holm"], len(test["seeds"])
    significance = "" if p is None else f", p = {p:.3f} (paired t, Holm)"
    points = f"{100 * test['mean']:+.2f} percentage points"
    return f"{title} − {baseline}: {points} of average accuracy over {seeds} seeds{significance}"


def draw(entries: list[Entry], file: Path) -> None:
    """Accuracy after each task, with the 95 % interval over seeds as a band."""
    figure, axes = plt.subplots(figsize=(5, 3.2))
    for entry in entries:
        tasks = range(1, len(entry.curve) + 1)
        means = [100 * point.mean for point in entry.curve]
        (line,) = axes.plot(tasks, means, marker="o", markersize=3, label=entry.title)
        bands = [point.interval or (point.mean, point.mean) for point in entry.curve]
        axes.fill_between(
            tasks,
            [100 * low for low, _ in bands],
            [100 * high for _, high in bands],
            color=line.get_color(),
            alpha=0.15,
            linewidth=0,
        )
    axes.set(xlabel="task", ylabel="accuracy over seen classes, %", xticks=list(tasks))
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
