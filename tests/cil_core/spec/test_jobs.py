"""Specs: slugs, canonical forms and hashes, class orders, seeds, and everything that is refused."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from cil_core.spec.base import Frozen, canonical_json
from cil_core.spec.jobs import JobSpec, MemoryBudget, Protocol, RunSpec, Track
from cil_core.spec.recipes import RECIPES
from cil_core.spec.schedule import Schedule

DIGITS = "digits-b0-inc2-m50-convnet"

names = st.from_regex(r"[a-z0-9_]{1,10}(-[a-z0-9_]{1,10}){0,3}", fullmatch=True)
orders = st.integers(0, 2**32 - 1) | st.integers(2, 12).flatmap(
    lambda count: st.permutations(range(count)).map(tuple)
)
protocols = st.builds(
    Protocol, first=st.integers(2, 1000), increment=st.integers(1, 1000), class_order=orders
)
budgets = st.just(MemoryBudget(kind="none")) | st.builds(
    MemoryBudget, kind=st.sampled_from(["total", "per_class", "bytes"]), amount=st.integers(1, 10**15)
)
tracks = st.builds(
    Track,
    dataset=names | names.map("folder:{}".format),
    protocol=protocols,
    memory=budgets,
    backbone=st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True),
    holdout=st.integers(0, 50),
)


def job(**fields: Any) -> dict[str, Any]:
    return {"method": {"name": "finetune"}, "track": DIGITS, "seeds": [1]} | fields


# ---------------------------------------------------------------------- slugs


@given(tracks)
def test_a_slug_names_its_track(track: Track) -> None:
    if isinstance(track.protocol.class_order, int):
        assert Track.from_slug(track.slug) == track
    else:
        with pytest.raises(ValueError, match="is not a track slug"):
            Track.from_slug(track.slug)


def test_the_largest_budget_has_a_slug_that_is_read_back() -> None:
    track = Track.from_slug(DIGITS).model_copy(update={"memory": MemoryBudget(kind="total", amount=10**15)})
    assert Track.from_slug(track.slug) == track


@given(tracks, tracks)
def test_different_tracks_have_different_slugs(one: Track, other: Track) -> None:
    assert (one == other) == (one.slug == other.slug)


@pytest.mark.parametrize(
    ("slug", "first", "increment", "kind", "amount"),
    [
        ("cifar100-b0-inc10-m2000-resnet32", 10, 10, "total", 2000),
        ("cifar100-b50-inc5-m20pc-resnet18", 50, 5, "per_class", 20),
        ("tiny_imagenet-b100-inc20-m0-resnet18", 100, 20, "none", 0),
        ("folder:my-pets-b0-inc2-m6144000b-convnet", 2, 2, "bytes", 6_144_000),
    ],
)
def test_published_protocols_are_read_from_their_slugs(
    slug: str, first: int, increment: int, kind: str, amount: int
) -> None:
    track = Track.from_slug(slug)
    assert (track.protocol.first, track.protocol.increment, track.memory.kind, track.memory.amount) == (
        first,
        increment,
        kind,
        amount,
    )
    assert (track.protocol.class_order, track.holdout) == (1993, 0)
    assert track.slug == slug


def test_a_slug_says_what_departs_from_the_custom() -> None:
    track = Track.from_slug("digits-b0-inc2-m50-convnet-order7-holdout10")
    assert (track.protocol.class_order, track.holdout) == (7, 10)
    assert track.slug == "digits-b0-inc2-m50-convnet-order7-holdout10"


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "digits",
        "digits-b0-inc2-convnet",
        "digits-b0-inc2-m50-",
        "Digits-b0-inc2-m50-convnet",
        f"{DIGITS}\n",
        f" {DIGITS}",
        "digits-b0-inc2-m50-convnet-order",
    ],
)
def test_what_is_no_slug_is_refused_with_an_example(slug: str) -> None:
    with pytest.raises(ValueError, match="is not a track slug such as 'cifar100-b0-inc10-m2000-resnet32'"):
        Track.from_slug(slug)


@pytest.mark.parametrize(
    "slug",
    [
        "digits-b0-inc1-m50-convnet",
        "digits-b1-inc2-m50-convnet",
        "digits-b0-inc2-m0pc-convnet",
        "digits-b0-inc2-m50-convnet-holdout51",
    ],
)
def test_a_slug_of_impossible_numbers_is_refused(slug: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — says which of several fields
        Track.from_slug(slug)


# ---------------------------------------------------------------------- protocols and budgets


@pytest.mark.parametrize(
    ("first", "increment", "classes", "sizes"),
    [
        (20, 20, 100, (20,) * 5),
        (50, 10, 100, (50, 10, 10, 10, 10, 10)),
        (4, 4, 10, (4, 4, 2)),
        (2, 1, 5, (2, 1, 1, 1)),
        (10, 10, 10, (10,)),
        (100, 20, 200, (100, 20, 20, 20, 20, 20)),
        (50, 30, 100, (50, 30, 20)),
    ],
)
def test_classes_arrive_in_tasks_of_these_sizes(
    first: int, increment: int, classes: int, sizes: tuple[int, ...]
) -> None:
    assert Protocol(first=first, increment=increment).task_sizes(classes) == sizes


@given(first=st.integers(2, 300), increment=st.integers(1, 300), classes=st.integers(2, 1000))
def test_every_class_arrives_once(first: int, increment: int, classes: int) -> None:
    protocol = Protocol(first=first, increment=increment)
    if first > classes:
        with pytest.raises(ValueError, match=f"needs {first} classes; the dataset has {classes}"):
            protocol.task_sizes(classes)
        return
    sizes = protocol.task_sizes(classes)
    assert sum(sizes) == classes
    assert len(sizes) == 1 + math.ceil((classes - first) / increment)
    assert all(size == increment for size in sizes[1:-1])
    assert all(1 <= size <= increment for size in sizes[1:])


@pytest.mark.parametrize("order", [(), (0,), (0, 0), (1, 2), (0, 1, 3), -1, 2**32])
def test_an_order_that_does_not_name_each_class_once_is_refused(order: Any) -> None:
    with pytest.raises(ValidationError, match=r"names each of the classes|a class-order seed lies in"):
        Protocol(first=2, increment=2, class_order=order)


@pytest.mark.parametrize(
    ("budget", "seen", "quota"),
    [
        (MemoryBudget(kind="none"), 10, 0),
        (MemoryBudget(kind="total", amount=2000), 100, 20),
        (MemoryBudget(kind="total", amount=2000), 60, 33),
        (MemoryBudget(kind="total", amount=5), 10, 0),
        (MemoryBudget(kind="per_class", amount=20), 60, 20),
        (MemoryBudget(kind="bytes", amount=6_144_000), 100, 20),
        (MemoryBudget(kind="bytes", amount=6_143_999), 100, 19),
    ],
)
def test_quotas_are_rounded_down(budget: MemoryBudget, seen: int, quota: int) -> None:
    assert budget.quota(seen, bytes_per_exemplar=3072) == quota


@given(budget=budgets, seen=st.integers(1, 1000), size=st.integers(1, 10**6))
def test_a_budget_is_never_exceeded(budget: MemoryBudget, seen: int, size: int) -> None:
    kept = budget.quota(seen, size) * seen
    limit = {
        "none": 0,
        "total": budget.amount,
        "per_class": budget.amount * seen,
        "bytes": budget.amount // size,
    }[budget.kind]
    assert 0 <= kept <= limit


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("none", 5), ("total", 0), ("per_class", 0), ("bytes", 0), ("total", -1), ("some", 5)],
)
def test_a_budget_that_contradicts_itself_is_refused(kind: Any, amount: int) -> None:
    with pytest.raises(ValidationError):
        MemoryBudget(kind=kind, amount=amount)


# ---------------------------------------------------------------------- canonical forms


@given(tracks)
def test_a_track_comes_back_from_its_json(track: Track) -> None:
    assert Track.model_validate_json(track.model_dump_json()) == track
    assert Track.model_validate_json(track.canonical_json()).digest() == track.digest()


def test_the_hash_of_a_track_is_the_same_everywhere_and_for_ever() -> None:
    assert (
        Track.from_slug("cifar100-b0-inc10-m2000-resnet32").digest()
        == "2ea2052c60a158e2d4dbf58ebc61eaed4654a3a1a2aeb7c508b5a5216d01ed55"
    )


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


# ---------------------------------------------------------------------- what is refused


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


def numbers_in(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Every field of a model whose JSON is a number: its name, and `integer` or `number`."""
    for name, schema in model.model_json_schema()["properties"].items():
        for option in [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]:
            if option.get("type") in {"integer", "number"}:
                yield name, option["type"]


MODELS = (RunSpec, MemoryBudget, Protocol, Schedule, Track, *RECIPES)
WRONG: dict[str, tuple[object, ...]] = {"integer": (True, "1", 1.0), "number": (True, "1")}
NUMBERS = [
    (model, field, kind, value)
    for model in MODELS
    for field, kind in numbers_in(model)
    for value in WRONG[kind]
]


@pytest.mark.parametrize(("model", "field", "kind", "value"), NUMBERS)
def test_nothing_is_converted_to_a_number(
    model: type[BaseModel], field: str, kind: str, value: object
) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate({field: value})
    at_field = [error["type"] for error in refused.value.errors() if error["loc"][0] == field]
    assert ("int_type" if kind == "integer" else "float_type") in at_field


@pytest.mark.parametrize("milestones", [[True], [1.0], ["1"]])
def test_milestones_are_integers(milestones: list[object]) -> None:
    with pytest.raises(ValidationError, match="valid integer"):
        Schedule.model_validate({"epochs": 5, "milestones": milestones})


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


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "../etc"},
        {"dataset": "Digits"},
        {"dataset": "x" * 81},
        {"backbone": "a-b"},
        {"holdout": 51},
        {"extra": 1},
    ],
)
def test_a_bad_track_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Track.model_validate(Track.from_slug(DIGITS).model_dump() | change)


def test_specs_are_read_without_pytorch() -> None:
    names = ("jobs", "events", "metrics", "validation", "folder_datasets")
    modules = ", ".join(f"cil_core.spec.{name}" for name in names)
    subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; sys.exit('torch' in sys.modules)"], check=True
    )


def test_precision_is_part_of_a_track_and_of_its_slug() -> None:
    track = Track.from_slug("digits-b0-inc2-m50-convnet-holdout20-bf16")
    assert (track.precision, track.holdout) == ("bf16", 20)
    assert track.slug == "digits-b0-inc2-m50-convnet-holdout20-bf16"
    assert Track.from_slug("digits-b0-inc2-m50-convnet").precision == "fp32"
    with pytest.raises(ValidationError, match="fp16"):
        Track.model_validate({**track.model_dump(), "precision": "fp16"})
