"""Every probe, in each mode, as root and as an unprivileged user; and outside, where each must succeed."""

import pytest

from tests.workers.sandbox.trials import trial
from workers.sandbox.probes import all_probes

NAMES = [probe.name for probe in all_probes()]


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_refuses(name, place):
    assert trial(*place)["found"].get(name, []) == []


@pytest.mark.parametrize("name", NAMES)
def test_outside_the_sandbox_it_succeeds(name):
    evidence = trial("root", "off")["found"].get(name, [])
    assert evidence != []
    assert not any("the probe" in each for each in evidence)


def test_nothing_outside_has_changed(place):
    assert trial(*place)["found"].get("trial", []) == []


def test_a_trial_runs_every_probe(place):
    assert trial(*place)["probes"] == len(NAMES)
