"""Jobs and runs: canonical forms and hashes, seeds, names, and what is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from cil_core.spec.base import Frozen, canonical_json
from cil_core.spec.jobs import JobSpec, RunSpec, Track

DIGITS = "digits-b0-inc2-m50-convnet"


def job(**fields: Any) -> dict[str, Any]:
    return {"method": {"name": "finetune"}, "track": DIGITS, "seeds": [1]} | fields


def test_the_order_of_fields_and_spelled_out_defaults_do_not_change_a_hash() -> None:
    short = RunSpec.model_validate({"method": {"name": "icarl"}, "track": DIGITS, "seed": 1})
    long = RunSpec.model_validate(dict(reversed(json.loads(short.canonical_json()).items())))
    assert long.digest() == short.digest()


@pytest.mark.parametrize(
    "changed",
    [{"seed": 2}, {"track": "digits-b0-inc2-m60-convnet"}, {"method": {"name": "icarl", "temperature": 2.5}}],
)
def test_every_change_of_what_is_run_changes_the_hash(changed: dict[str, Any]) -> None:
    spec = {"method": {"name": "icarl"}, "track": DIGITS, "seed": 1}
    assert RunSpec.model_validate(spec).digest() != RunSpec.model_validate(spec | changed).digest()


def test_a_track_may_be_given_by_slug_or_spelled_out() -> None:
    spelled = Track.from_slug(DIGITS).model_dump(mode="json")
    assert JobSpec.model_validate(job(track=spelled)) == JobSpec.model_validate(job())


def test_a_job_has_one_run_a_seed_in_the_order_given() -> None:
    runs = JobSpec.model_validate(job(seeds=[3, 1, 2])).runs()
    assert [run.seed for run in runs] == [3, 1, 2]
    assert {(run.track.slug, run.method.name) for run in runs} == {(DIGITS, "finetune")}


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Track.from_slug(DIGITS).holdout = 10  # type: ignore[misc]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_no_nan(value: float) -> None:
    class Number(Frozen):
        value: float

    with pytest.raises(ValidationError, match="finite"):
        Number(value=value)
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"value": value})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seeds": []}, "at least one seed is required"),
        ({"seeds": [1, 2, 1, 2]}, "duplicate seeds: 1, 2"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        ({"seeds": [2**32]}, "less than 4294967296"),
        ({"seeds": [1.5]}, "valid integer"),
        ({"seeds": list(range(101))}, "at most 100 items"),
        ({"seed": 1}, "Extra inputs are not permitted"),
        ({"method": {"name": "nothing"}}, "does not match any of the expected tags"),
        ({"method": {}}, "Unable to extract tag"),
        ({"method": {"name": "finetune", "epochs": 5}}, "Extra inputs are not permitted"),
        ({"method": {"name": "icarl", "temperature": math.nan}}, "finite"),
        ({"method": {"name": "icarl", "temperature": 1e308}}, "less than or equal to 100"),
        ({"track": "nonsense"}, "is not a track slug"),
        ({"track": {}}, "Field required"),
        ({"name": "x" * 121}, "at most 120 characters"),
        ({"name": ""}, "it is blank"),
        ({"name": " \u200b\u3000"}, "it is blank"),
        ({"name": "two\nlines"}, r"character 4 is U\+000A"),
        ({"name": "two\u2028lines"}, r"U\+2028 \(LINE SEPARATOR\)"),
        ({"name": "\x1b[31mred"}, r"U\+001B"),
        ({"name": "\x9b31mred"}, r"U\+009B"),
        ({"name": "evil\u202egnp.exe"}, r"U\+202E \(RIGHT-TO-LEFT OVERRIDE\)"),
        ({"name": "\u2067isolated"}, r"U\+2067"),
    ],
)
def test_a_bad_job_is_refused_with_the_reason(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        JobSpec.model_validate(job(**change))


@pytest.mark.parametrize("name", ["lr sweep", "é 日本語 👩\u200d👩\u200d👧", "می\u200cخواهم", " padded "])
def test_a_name_may_use_every_script(name: str) -> None:
    assert JobSpec.model_validate(job(name=name)).name == name


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [2**32]},
        {"seeds": [True]},
        {"seeds": [1, 2.0]},
        {"track": {**Track.from_slug(DIGITS).model_dump(), "protocol": {"first": 2, "increment": True}}},
        {
            "track": {
                **Track.from_slug(DIGITS).model_dump(),
                "protocol": {"first": 2, "increment": 2, "class_order": True},
            }
        },
    ],
)
def test_one_invalid_number_is_one_error(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        JobSpec.model_validate(job(**change))
    assert refused.value.error_count() == 1


def test_specs_are_read_without_pytorch() -> None:
    names = ("jobs", "events", "metrics", "validation", "folder_datasets")
    modules = ", ".join(f"cil_core.spec.{name}" for name in names)
    subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; sys.exit('torch' in sys.modules)"], check=True
    )
