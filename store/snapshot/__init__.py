"""The whole public state as a sequence of records, and back, so that a community cannot lose its results.

Decisions:
    * A record is a JSON object with its `kind`: first `snapshot`, then every `dataset`, `track`, `run`,
      `reported` and `entry`, last `end` with the number of each. A snapshot without `end` is incomplete.
    * Runs are complete: spec, counts, environment. Entries repeat what follows from the runs, for readers;
      loading ignores them.
    * A snapshot contains terminal, public data only: no users but the names of those who reported results, no
      tokens, no log lines.
    * Every batch is read in its own short transaction: a slow reader blocks no writer, and succeeded runs
      never change.
    * Loading writes what is missing and checks what exists. Summaries are computed from the counts.
"""

from store.snapshot.exporting import records
from store.snapshot.loading import load

__all__ = ["load", "records"]
