"""What holds for the recipe of every method, and the published values of some."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from cil_core.spec.recipes import BY_NAME, RECIPES, Recipe, base
from cil_core.spec.schedule import Schedule

EVERY = pytest.mark.parametrize("kind", RECIPES, ids=BY_NAME)
ANY: TypeAdapter[base.Recipe] = TypeAdapter(Recipe)
PRESETS = [(kind, preset) for kind in RECIPES for preset in kind.presets]


def read(**fields: Any) -> base.Recipe:
    return ANY.validate_json(json.dumps(fields))


@EVERY
def test_a_name_alone_gives_the_published_defaults(kind: type[base.Recipe]) -> None:
    recipe = read(name=kind.model_fields["name"].default)
    assert type(recipe) is kind
    assert recipe == kind.model_validate({})
    assert recipe.variant == "default"
    assert recipe.changes() == []


@EVERY
def test_a_recipe_comes_back_from_its_json(kind: type[base.Recipe]) -> None:
    recipe = kind.model_validate({})
    assert ANY.validate_json(recipe.canonical_json()) == recipe
    assert ANY.validate_json(recipe.canonical_json()).digest() == recipe.digest()


def test_a_newer_option_of_a_schedule_is_a_change_and_comes_back() -> None:
    recipe = read(name="finetune", later_tasks={"clip_norm": 2.0})
    assert recipe.changes() == ["later_tasks.clip_norm=2.0"]
    assert ANY.validate_json(recipe.canonical_json()) == recipe


@EVERY
def test_a_recipe_can_be_shown(kind: type[base.Recipe]) -> None:
    assert kind.title
    assert kind.summary.endswith(".")
    assert kind.classifiers
    assert "small" in kind.presets
    assert kind.citation is None or kind.family != "baseline"
    assert kind.model_validate({}).schedules


@EVERY
def test_every_knob_states_its_meaning(kind: type[base.Recipe]) -> None:
    silent = [name for name, field in kind.model_fields.items() if name != "name" and not field.description]
    assert silent == []


@EVERY
def test_an_unknown_field_is_refused(kind: type[base.Recipe]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        read(name=kind.model_fields["name"].default, no_such_knob=1)


@pytest.mark.parametrize(
    ("kind", "preset"), PRESETS, ids=lambda value: value if isinstance(value, str) else value.__name__
)
def test_a_preset_equals_its_values(kind: type[base.Recipe], preset: str) -> None:
    name = kind.model_fields["name"].default
    recipe = read(name=name, preset=preset)
    assert recipe == kind.from_preset(preset)
    assert "preset" not in json.loads(recipe.canonical_json())
    assert recipe.variant in (preset, "default")
    assert all(
        getattr(recipe, field) == kind.model_validate({field: value}).__getattribute__(field)
        for field, value in kind.presets[preset].items()
    )


@pytest.mark.parametrize("kind", [kind for kind in RECIPES if kind.citation], ids=lambda kind: kind.__name__)
def test_a_citation_is_complete_bibtex(kind: type[base.Recipe]) -> None:
    citation = kind.citation
    assert citation is not None
    assert citation.bibtex.startswith("@")
    assert citation.bibtex.count("{") == citation.bibtex.count("}")
    assert str(citation.year) in citation.bibtex
    assert citation.year >= 1990


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(RECIPES)
    assert len({kind.title for kind in RECIPES}) == len(RECIPES)


def test_a_preset_can_be_changed_further_and_says_so() -> None:
    recipe = read(name="icarl", preset="small", temperature=3.0)
    assert recipe.variant == "small, temperature=3.0"
    assert recipe.changes() == ["small, temperature=3.0"]


def test_a_changed_knob_is_what_a_variant_is_called() -> None:
    assert read(name="lwf", temperature=3.0).variant == "temperature=3.0"
    assert (
        read(name="finetune", logits="full", later_tasks={"epochs": 5, "milestones": []}).variant
        == "later_tasks.epochs=5, later_tasks.milestones=[], logits=full"
    )


def test_what_is_left_out_of_a_schedule_is_the_preset_s_or_the_published_value() -> None:
    published, small = read(name="icarl"), read(name="icarl", preset="small")
    changed = read(name="icarl", later_tasks={"lr": 0.05})
    assert changed.later_tasks == published.later_tasks.model_copy(update={"lr": 0.05})
    assert (changed.later_tasks.weight_decay, changed.later_tasks.milestones, changed.first_task) == (
        2e-4,
        (80, 120),
        published.first_task,
    )
    assert changed.variant == "later_tasks.lr=0.05"
    further = read(name="icarl", preset="small", first_task={"batch_size": 64, "epochs": 18})
    assert further.first_task == small.first_task.model_copy(update={"batch_size": 64, "epochs": 18})
    assert further.variant == "small, first_task.epochs=18, first_task.batch_size=64"
    assert read(name="icarl", later_tasks={}) == published


def test_milestones_that_do_not_fit_into_other_epochs_are_never_dropped_silently() -> None:
    with pytest.raises(
        ValidationError, match=r"milestones \[80, 120\] do not fit into 100 epochs: .*; \[\] for none"
    ):
        read(name="icarl", later_tasks={"epochs": 100})
    assert (
        read(name="icarl", later_tasks={"epochs": 100, "milestones": []}).schedules["later_tasks"].milestones
        == ()
    )


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValidationError, match="preset 'large' does not exist; iCaRL has 'paper', 'small', 'small-bce'"
    ):
        read(name="icarl", preset="large")


@pytest.mark.parametrize(
    ("name", "epochs", "milestones"),
    [
        ("finetune", 80, (40, 70)),
        ("replay", 70, (30, 50)),
        ("lwf", 250, (60, 120, 180, 220)),
        ("icarl", 170, (80, 120)),
        ("joint", 200, (60, 120, 170)),
    ],
)
def test_later_tasks_follow_the_published_schedules(
    name: str, epochs: int, milestones: tuple[int, ...]
) -> None:
    schedule = read(name=name).schedules["later_tasks"]
    assert (schedule.epochs, schedule.milestones) == (epochs, milestones)
    assert (schedule.lr, schedule.batch_size, schedule.momentum, schedule.optimizer) == (0.1, 128, 0.9, "sgd")


def test_the_common_first_task_is_the_published_one() -> None:
    assert read(name="icarl").first_task == Schedule(
        epochs=200, batch_size=128, lr=0.1, milestones=(60, 120, 170), weight_decay=5e-4
    )


def test_icarls_paper_preset_is_the_published_one() -> None:
    recipe = read(name="icarl", preset="paper")
    schedule = recipe.schedules["later_tasks"]
    assert (schedule.epochs, schedule.lr, schedule.milestones, schedule.gamma, schedule.weight_decay) == (
        70,
        2.0,
        (49, 63),
        0.2,
        2e-5,
    )
    assert (recipe.loss, recipe.nme_flip) == ("bce", True)  # type: ignore[attr-defined]


def test_ewc_bounds_the_fisher_of_batches_by_default() -> None:
    recipe: Any = read(name="ewc")
    assert (recipe.fisher, recipe.fisher_max, recipe.fisher_mode) == ("batch", 1e-4, "evaluation")


def test_ewc_per_image_has_the_bound_of_batches_times_their_size() -> None:
    recipe: Any = read(name="ewc", preset="paper")
    assert recipe.fisher == "per_sample"
    assert recipe.fisher_max == pytest.approx(128 * 1e-4)
    assert recipe.strength * recipe.fisher_max * recipe.later_tasks.lr < 2


def test_bic_s_pycil_preset_corrects_probabilities_in_training_mode() -> None:
    recipe: Any = read(name="bic", preset="pycil")
    assert (recipe.correction_input, recipe.correction_mode) == ("probabilities", "training")
    assert recipe.first_task == recipe.later_tasks == recipe.correction
    assert (recipe.correction.weight_decay, recipe.shift_penalty) == (2e-4, 0)


def test_podnet_s_default_is_the_official_code_and_its_pycil_preset_is_pycil_s() -> None:
    official: Any = read(name="podnet")
    pycil: Any = read(name="podnet", preset="pycil")

    def choices(recipe: Any) -> tuple[Any, ...]:
        return (recipe.similarity, recipe.finetune, recipe.new_proxies, recipe.balanced_quota)

    assert choices(official) == ("distance", "proxies", "imprinted", "seen")
    assert (official.spatial_weight, official.clip_gradient, official.balanced.lr) == (3, 5, 0.05)
    assert choices(pycil) == ("cosine", "all", "random", "known")
    assert (pycil.spatial_weight, pycil.clip_gradient, pycil.balanced.lr) == (5, None, 0.005)


def test_der_s_official_first_task_of_fifty_classes_has_no_warm_up() -> None:
    recipe: Any = read(name="der", preset="official-b50")
    assert recipe.first_task == Schedule(epochs=200, milestones=(60, 120, 160), weight_decay=5e-4)
    assert recipe.later_tasks == read(name="der", preset="official").later_tasks  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- fields that came later

STORED = {
    ("bic", "default"): "65aa8591004e790b2c860b8d1eafa9df7936fe084f34077f25a2d48bb2fcfbd8",
    ("ewc", "small"): "dc2b05682d9888f0e422a210d43059a28fc88d5ad065665be90334cca3e35be1",
    ("podnet", "small"): "45b4133e132bdba086c6dd837753e633ca35d1fe720dc700d71356b5784471ba",
    ("wa", "default"): "7bcdfacd64f61452e4f388973973dcccdb4b1c58ce47aa792a03e1cfea3b8e2f",
}
"""Digests of recipes stored before the fields of `LATER` existed."""

LATER = {
    "bic": {"correction_input": "logits", "correction_mode": "evaluation"},
    "ewc": {"fisher_mode": "evaluation"},
    "podnet": {"similarity": "cosine", "new_proxies": "imprinted", "balanced_quota": "seen"},
    "wa": {"distillation_weight": None},
}


def stored(name: str, preset: str) -> dict[str, Any]:
    """The JSON of a recipe as it was stored before the fields of `LATER` existed."""
    kind = BY_NAME[name]
    values = (kind.published() if preset == "default" else kind.from_preset(preset)).values()
    if name == "podnet":
        values["finetune"] = "classifier"
    return {field: value for field, value in values.items() if field not in LATER[name]}


@pytest.mark.parametrize(("name", "preset"), STORED)
def test_a_stored_recipe_keeps_its_hash_and_its_meaning(name: str, preset: str) -> None:
    recipe = read(**stored(name, preset))
    assert recipe.digest() == STORED[name, preset]
    assert {field: getattr(recipe, field) for field in LATER[name]} == LATER[name]


def test_a_recipe_that_leaves_out_more_than_later_fields_gets_today_s_defaults() -> None:
    values = stored("podnet", "small")
    del values["margin"]
    assert read(**values).similarity == "distance"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "field", "value"), [("podnet", "similarity", "cosine"), ("wa", "bias", True)]
)
def test_a_later_field_comes_back_from_json_and_shows_in_the_variant(
    name: str, field: str, value: Any
) -> None:
    recipe = read(name=name, **{field: value})
    assert read(**recipe.model_dump(mode="json")) == recipe
    assert recipe.variant == f"{field}={value}"
