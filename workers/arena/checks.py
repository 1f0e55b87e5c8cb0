"""`check`: does a submitted method keep the rules? The service and `cil method check` make the same checks.

Short runs on the digits, each with few epochs: about a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cil_core.engine.machine import Machine
from cil_core.spec.errors import EngineError, InvalidMethodFile
from cil_core.spec.events import Event, RunFinished, TaskEvaluated
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.method_file import MethodFile, refuse_known_title
from cil_core.spec.recipes import base
from cil_core.spec.submitted_method import SubmittedMethod
from workers.arena.examiner import DIFFERENT_ANSWERS, examine
from workers.arena.fork_server import ForkServer
from workers.arena.messages import Sandbox
from workers.arena.submission import Limits, Submission

THREE_TASKS = "digits-b4-inc3-m60-convnet-holdout50"
OTHER_SPLIT = "digits-b2-inc8-m60-convnet-holdout50"
EPOCHS = 3
_CHANCE = 0.1


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        fact: what was checked, as a sentence.
        fault: why it does not hold; None if it does.
    """

    fact: str
    fault: str | None = None


def check(file: MethodFile, machine: Machine, server: ForkServer, sandbox: Sandbox) -> Iterator[Check]:
    """Check a submitted method.

    Args:
        file: the method.
        machine: where the runs are made.
        server: starts their processes.
        sandbox: what separates them from this machine.

    Yields:
        One result per check. The first run that fails is the last check.

    Raises:
        CannotConfine: this machine lacks the sandbox.
        ChildProcessError: something killed a process of the method.
    """
    yield Check("the title is not that of a built-in method", _title_fault(file))
    limits = Limits(sandbox=sandbox, learn_seconds=300, answer_seconds=60, repeated=1.0)
    runs = []
    for what, slug, seed in (
        ("it learns three tasks", THREE_TASKS, 1),
        ("it learns them again", THREE_TASKS, 1),
        ("it learns a small and then a large task", OTHER_SPLIT, 2),
    ):
        try:
            runs.append([*_events(file, slug, seed, machine, server, limits)])
        except (EngineError, ValueError) as error:
            yield Check(what, f"{type(error).__name__}: {error}")
            return
        yield Check(what)
    first, again, _ = runs
    yield from _judge(first, again)


def _judge(first: list[Event], again: list[Event]) -> Iterator[Check]:
    """What the events of two equal runs say."""
    same = [event for event in first if isinstance(event, RunFinished)] == [
        event for event in again if isinstance(event, RunFinished)
    ]
    yield Check("the same seed gives the same result", None if same else "the counts of two runs differ")
    last = [event for event in first if isinstance(event, TaskEvaluated)][-1]
    changed = last.diagnostics[DIFFERENT_ANSWERS]
    yield Check(
        "an answer depends on its own image alone",
        f"{changed:.1%} of the answers changed with the other images" if changed else None,
    )
    ranking = next(iter(last.results.values()))
    accuracy = sum(ranking.correct) / sum(last.test_images)
    yield Check(
        f"it beats chance: {accuracy:.1%} on ten classes after {EPOCHS} epochs per task",
        None if accuracy > 1.5 * _CHANCE else f"chance is {_CHANCE:.0%}",
    )
    kept = last.footprint
    yield Check(f"it keeps {kept.kept_bytes} bytes, {kept.exemplars} exemplars among them")


def _title_fault(file: MethodFile) -> str | None:
    try:
        refuse_known_title(file.recipe)
    except InvalidMethodFile as error:
        return str(error)
    return None


def _events(
    file: MethodFile, slug: str, seed: int, machine: Machine, server: ForkServer, limits: Limits
) -> Iterator[Event]:
    recipe = short_recipe(file.recipe)
    method = SubmittedMethod.of(file, recipe.model_dump(mode="json"))
    spec = RunSpec.model_validate({"method": method, "track": Track.from_slug(slug), "seed": seed})
    return examine(spec, Submission(file.text, recipe), machine, server, limits)


def short_recipe(recipe: type[base.Recipe], epochs: int = EPOCHS) -> base.Recipe:
    """The preset `small`, or the defaults, with every schedule cut to a few epochs."""
    whole = recipe.from_preset("small") if "small" in recipe.presets else recipe.published()
    short = {
        name: schedule.rescaled(min(epochs, schedule.epochs)).model_dump()
        for name, schedule in whole.schedules.items()
    }
    return recipe.model_validate({**whole.model_dump(), **short})
