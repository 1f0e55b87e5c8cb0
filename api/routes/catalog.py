"""Methods, datasets, backbones and suites that can be submitted, and the workers that run them."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from api.deps import DatabaseDep
from api.http import problems
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from api.schemas import catalog as answers
from cil_core.spec.catalog import BACKBONES, WEIGHTS
from cil_core.spec.suites import SUITES
from store.datasets import dataset_card, dataset_cards
from store.queries.queues import queues, retrying_runs
from store.runs import list_workers

router = APIRouter(tags=["catalogue"], route_class=StrictRoute, responses=documented(problems.INVALID_QUERY))


@router.get("/methods", operation_id="listMethods")
def read_methods() -> answers.Methods:
    """Every method."""
    return answers.Methods(items=answers.methods())


@router.get("/methods/{name}", operation_id="getMethod", responses=documented(problems.NOT_FOUND))
def read_method(name: str) -> answers.MethodDetailAnswer:
    """A method with its hyper-parameters: defaults, presets and JSON Schema."""
    return answers.method(answers.recipe_named(name))


@router.get("/datasets", operation_id="listDatasets")
def read_datasets(database: DatabaseDep) -> answers.Datasets:
    """Every dataset: built-in ones and the operator's image folders."""
    with database.reading() as session:
        return answers.Datasets(items=list(dataset_cards(session).values()))


@router.get("/datasets/{name}", operation_id="getDataset", responses=documented(problems.NOT_FOUND))
def read_dataset(name: str, database: DatabaseDep) -> answers.DatasetAnswer:
    """One dataset with its classes: number, name, and images per split."""
    with database.reading() as session:
        return answers.dataset(dataset_card(session, name))


@router.get("/backbones", operation_id="listBackbones")
def read_backbones() -> answers.Backbones:
    """Every backbone."""
    return answers.Backbones(items=list(BACKBONES.values()))


@router.get("/weights", operation_id="listWeights")
def read_weights() -> answers.Weights:
    """Published weights that a track can name: source, licence, pixels, overlap with datasets."""
    return answers.Weights(items=[answers.WeightsAnswer(key=key, card=card) for key, card in WEIGHTS.items()])


@router.get("/suites", operation_id="listSuites")
def read_suites() -> answers.Suites:
    """Every suite: methods × tracks × seeds; `cil suite run NAME` submits one."""
    return answers.Suites(
        items=[answers.SuiteAnswer(**suite.model_dump(), runs=suite.runs) for suite in SUITES.values()]
    )


@router.get("/workers", operation_id="listWorkers")
def read_workers(database: DatabaseDep) -> answers.Workers:
    """Workers seen within the last hour or holding a run, and the queues they serve."""
    with database.reading() as session:
        return answers.Workers(
            items=[answers.worker(status) for status in list_workers(session)],
            queues=[answers.QueueAnswer(**asdict(queue)) for queue in queues(session)],
            setbacks=[answers.SetbackAnswer(**asdict(run)) for run in retrying_runs(session)],
        )
