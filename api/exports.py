"""A leaderboard as a file: CSV, LaTeX (booktabs) and Markdown; its papers as BibTeX.

Decisions:
    * CSV has full precision; LaTeX and Markdown print per cent with the 95 % interval, as papers do.
    * A text cell that a spreadsheet would evaluate as a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from api.shared.csv import safe_cell
from api.shared.numbers import MISSING, percent_interval
from api.shared.variants import titled
from cil_core.spec.metrics import METRIC, METRICS
from cil_core.spec.recipes import BY_NAME
from store.leaderboard.entries import Entry
from store.leaderboard.statistics import Statistic

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def to_csv(entries: Sequence[Entry], slug: str) -> str:
    """One line per entry, accuracies as fractions."""
    spread = [f"{name}_{part}" for name in METRIC for part in ("mean", "std", "low", "high")]
    kept = [
        "exemplars",
        "counted_bytes",
        "kept_bytes",
        "parameters",
        "train_seconds_mean",
        "devices",
        "engine_version",
        "entry",
        "median_rank",
        "trust",
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["track", "rank", "method", "variant", "classifier", "seeds", *spread, *kept])
    for entry in entries:
        writer.writerow([safe_cell(cell) for cell in _csv_row(entry, slug)])
    return text.getvalue()


def to_markdown(entries: Sequence[Entry], slug: str) -> str:
    """A table in GitHub's Markdown."""
    lines = ["| " + " | ".join(_HEADERS) + " |", "| ---: | :--- |" + " ---: |" * (len(_HEADERS) - 2)]
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in _printed(entry)) + " |" for entry in entries
    ]
    return f"Track `{slug}`. {_NOTE}\n\n" + "\n".join(lines) + "\n"


def to_latex(entries: Sequence[Entry], slug: str) -> str:
    """A `tabular` with booktabs rules; methods are cited by the keys of their BibTeX entries."""
    rows = []
    for entry in entries:
        cells = [_latex(cell).replace("±", r"$\pm$").replace("–", "--") for cell in _printed(entry)]
        citation = BY_NAME[entry.method].citation
        cells[1] += rf"~\cite{{{citation.key}}}" if citation else ""
        rows.append(" & ".join(cells) + r" \\")
    head = " & ".join(_latex(header) for header in _HEADERS)
    columns = "rl" + "r" * (len(_HEADERS) - 2)
    return "\n".join(
        [
            f"% Track {slug}. {_NOTE}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def to_bibtex(entries: Sequence[Entry], slug: str) -> str:
    """The papers of the methods on a leaderboard, sorted by key."""
    citations = {
        citation.key: citation.bibtex for entry in entries if (citation := BY_NAME[entry.method].citation)
    }
    return (
        f"% The methods on track {slug}.\n\n"
        + "\n\n".join(citations[key] for key in sorted(citations))
        + "\n"
    )


WRITERS: dict[str, tuple[Callable[[Sequence[Entry], str], str], str, str]] = {
    "csv": (to_csv, "text/csv; charset=utf-8", "csv"),
    "latex": (to_latex, "application/x-tex; charset=utf-8", "tex"),
    "bibtex": (to_bibtex, "application/x-bibtex; charset=utf-8", "bib"),
    "markdown": (to_markdown, "text/markdown; charset=utf-8", "md"),
}
"""By format: its writer, media type and file extension."""

_PRINTED = tuple(metric for metric in METRICS if metric.headline)
_HEADERS = (
    "Rank",
    "Method",
    *(f"{metric.column} (%)" for metric in _PRINTED),
    "Memory (MB)",
    "Parameters (M)",
    "Seeds",
)
_NOTE = "Mean over seeds ± half-width of the 95 % confidence interval (Student's t) for 3 or more seeds."


def _printed(entry: Entry) -> list[str]:
    name = titled(entry.title, entry.variant)
    metrics = [_percent(entry.metrics.get(metric.name)) for metric in _PRINTED]
    size = [f"{entry.counted_bytes / 1e6:.2f}", f"{entry.parameters / 1e6:.2f}"]
    return [MISSING if entry.rank is None else str(entry.rank), name, *metrics, *size, str(len(entry.runs))]


def _percent(statistic: Statistic | None) -> str:
    return MISSING if statistic is None else percent_interval(statistic.mean, statistic.interval, digits=2)


def _csv_row(entry: Entry, slug: str) -> list[str | int | float | None]:
    spread = [value for name in METRIC for value in _parts(entry.metrics.get(name))]
    kept = [
        entry.exemplars,
        entry.counted_bytes,
        entry.kept_bytes,
        entry.parameters,
        entry.train_seconds.mean if entry.train_seconds else None,
    ]
    return [
        slug,
        entry.rank,
        entry.method,
        entry.variant,
        entry.classifier,
        len(entry.runs),
        *spread,
        *kept,
        " ".join(entry.devices),
        entry.engine_version,
        entry.id,
        entry.median_rank,
        entry.trust,
    ]


def _parts(statistic: Statistic | None) -> list[float | None]:
    if statistic is None:
        return [None] * 4
    return [statistic.mean, statistic.std, *(statistic.interval or (None, None))]


def _latex(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _LATEX[found[0]], text)
