"""Experience replay: exemplars mixed into the new data."""

from __future__ import annotations

from cil_core.learning.method import Method


class Replay(Method):
    """Cross-entropy over all seen classes on new data and exemplars, shuffled together, not re-balanced.

    Differs: offline, with herded exemplars, as the field's comparisons do; the paper samples a reservoir
        online.
    Reports: the linear head; the nearest mean of exemplars beside it.
    """

    plain_first_task = True


METHOD = Replay
