"""The untrusted side: a process that executes one order and ends. The submitted file runs here only.

    describe   nothing                                         → the recipe that the running file defines
    learn      a task's training images, the previous state    → the state after the task
    answer     a state, test images in a secret order          → per classifier the best classes

Decisions:
    * Nothing that happens here is trusted. The file can change every module of this process; the examiner
      measures what comes out.
    * PyTorch's, numpy's and Python's global generators are seeded from the run's seed and the task, so that a
      file that uses them repeats itself.
"""

from __future__ import annotations

import ctypes
import json
import linecache
import os
import random
import signal
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
import torch
from pydantic import BaseModel

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.engine import state_file
from cil_core.engine.checkpoint import restore
from cil_core.engine.evaluation import best_classes
from cil_core.engine.run import learn_task
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Task
from cil_core.learning.seeding import Randomness
from cil_core.spec.events import EpochFinished
from cil_core.spec.method_description import described
from workers.arena import memory_files
from workers.arena.messages import FAILED, UNFIT, Answered, Described, Epoch, Failed, Learned, Order, Unfit
from workers.sandbox import Mode, default_policy, enter

MODULE = "submitted"
_FILE = "submitted.py"
_TRACEBACK_LINES = 50
_PR_SET_PDEATHSIG = 1

Say = Callable[[BaseModel], None]


def main(descriptors: Mapping[str, int], parent: int) -> NoReturn:
    """Execute the order; the process ends with exit code 0, `FAILED` or `UNFIT`.

    Args:
        descriptors: `order`, `reports`, `log` and `result`; `state` and `data` where the action needs them.
        parent: process id of the fork server.
    """
    _detach(descriptors, parent)
    with memory_files.mapped(descriptors["order"]) as content:
        order = Order.model_validate_json(content[:])

    def say(message: BaseModel) -> None:
        os.write(descriptors["reports"], message.model_dump_json().encode() + b"\n")

    try:
        _confine(order, descriptors)
    except OSError as error:
        say(Unfit(message=f"{error.strerror or error}"[:2000]))
        os._exit(UNFIT)
    try:
        torch.set_num_threads(order.threads)
        torch.backends.cudnn.deterministic = True
        {"describe": _describe, "learn": _learn, "answer": _answer}[order.action](order, descriptors, say)
    except BaseException as error:  # noqa: BLE001 - every exception of the file is reported, SystemExit included
        say(_failed(error))
        os._exit(FAILED)
    sys.stdout.flush()
    os._exit(0)


def _detach(descriptors: Mapping[str, int], parent: int) -> None:
    """Lead an own session, end with the fork server, and keep no other descriptor."""
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(UNFIT)  # the fork server has ended, so no signal will come
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for standard in (1, 2):
        os.dup2(descriptors["log"], standard)
    kept = {0, 1, 2, *descriptors.values()}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are numbers
        if int(name) not in kept:
            _close(int(name))


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:  # the directory listing's own, closed by now
        return


def _confine(order: Order, descriptors: Mapping[str, int]) -> None:
    """Enter the sandbox, if the order names one.

    Raises:
        OSError: this machine cannot; nothing of the file has run.
    """
    if order.sandbox == "off":
        return
    if order.device != "cpu":
        raise OSError(f"no submitted method runs on {order.device} in a sandbox yet")
    enter(
        default_policy(
            Mode(order.sandbox),
            keep=descriptors.values(),
            memory_bytes=order.memory_bytes,
            file_bytes=order.state_bytes,
        )
    )


def _failed(error: BaseException) -> Failed:
    lines = "".join(traceback.format_exception(error)).splitlines()[-_TRACEBACK_LINES:]
    return Failed(
        error=type(error).__name__[:200],
        message=str(error)[:2000],
        traceback=tuple(line[:500] for line in lines),
    )


def _describe(order: Order, descriptors: Mapping[str, int], say: Say) -> None:  # noqa: ARG001 - as every action
    say(Described(recipe=described(_load(order.source).RECIPE)))


def _learn(order: Order, descriptors: Mapping[str, int], say: Say) -> None:
    method = _method(order, descriptors.get("state"))
    task = Task(order.task, order.bounds, _images(order, descriptors["data"], labelled=True))
    for event in learn_task(method, task):
        if isinstance(event, EpochFinished):
            say(Epoch(event=event))
    method.finish_task()
    offset = 0
    for part in state_file.dump(method.state_dict()):
        offset += memory_files.write(descriptors["result"], part, offset)
    say(
        Learned(
            parameters=sum(parameter.numel() for parameter in method.net.parameters()),
            backbone_parameters=method.net.backbone_parameters(),
            diagnostics={name: float(value) for name, value in method.diagnostics.items()},
        )
    )


def _answer(order: Order, descriptors: Mapping[str, int], say: Say) -> None:
    method = _method(order, descriptors["state"])
    answers = best_classes(method, _images(order, descriptors["data"], labelled=False))
    offset = 0
    for best in answers.values():
        offset += memory_files.write(descriptors["result"], best.contiguous().numpy().data, offset)
    say(Answered(classifiers=tuple(answers)))


def _load(source: str) -> types.ModuleType:
    """The submitted file as a module; its lines appear in tracebacks."""
    module = types.ModuleType(MODULE)
    module.__file__ = _FILE
    sys.modules[MODULE] = module
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what candidates are for
    return module


def _method(order: Order, state: int | None) -> Method:
    """The method of the file, in the state that the previous task left."""
    assert order.dataset is not None and order.budget is not None  # noqa: S101, PT018 - the examiner sets both
    randomness = Randomness(order.seed, torch.device(order.device))
    _seed_globals(randomness, order)
    module = _load(order.source)
    context = RunContext(
        dataset=order.dataset,
        backbone=order.backbone,
        budget=order.budget,
        task_sizes=order.task_sizes,
        randomness=randomness,
        device=torch.device(order.device),
        precision=order.precision,
    )
    recipe = module.RECIPE.model_validate_json(json.dumps(order.recipe))
    method: Method = module.METHOD(recipe, context).to(context.device)
    if state is not None:
        with memory_files.mapped(state) as content:
            restore(method, state_file.load(content))
    return method


def _seed_globals(randomness: Randomness, order: Order) -> None:
    number = randomness.on_cpu("global", order.task, order.action).initial_seed() % 2**32
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)


def _images(order: Order, descriptor: int, *, labelled: bool) -> ArrayDataset:
    assert order.dataset is not None  # noqa: S101 - the examiner sets it
    content: Any = memory_files.private(descriptor)
    shape = order.dataset.shape
    pixels = order.images * int(np.prod(shape))
    images = torch.frombuffer(content, dtype=torch.uint8, count=pixels).reshape(order.images, *shape)
    if labelled:
        start = memory_files.aligned(pixels)
        labels = torch.frombuffer(content, dtype=torch.int64, count=order.images, offset=start)
    else:
        labels = torch.zeros(order.images, dtype=torch.int64)
    return ArrayDataset(images, labels, Transform(order.dataset)).to(order.device)
