"""From real exceptions to failure classes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cil_core.spec.errors import (
    CannotConfine,
    CheckpointError,
    DataError,
    DataUnavailable,
    Diverged,
    InvalidSpec,
    MethodError,
    RuleBroken,
)
from workers.child.failures import failed
from workers.protocol import Assignment

ORDER = Assignment(
    spec=None, device="cpu", threads=1, memory_bytes=8 * 2**30, lease_seconds=60, data_root=Path("nowhere")
)


def report_of(action, assignment=ORDER):
    try:
        action()
    except Exception as error:  # noqa: BLE001 - every exception is classified
        return failed(error, assignment)
    raise AssertionError("nothing was raised")


def raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize("allocate", [lambda: torch.empty(10**15), lambda: np.empty(10**15)])
def test_out_of_memory_on_the_host_reports_peak_and_limit(allocate):
    report = report_of(allocate)
    assert report.failure == "out_of_memory"
    assert report.message.startswith("out of memory on the host, running on cpu: the peak was ")
    assert " GiB of 8.0 GiB; " in report.message
    assert report.evidence["peak_host_bytes"] > 2**26


@pytest.mark.gpu
def test_out_of_memory_on_the_device_reports_device_and_peak():
    assignment = Assignment(
        spec=None, device="cuda:0", threads=1, memory_bytes=None, lease_seconds=60, data_root=Path("nowhere")
    )
    report = report_of(lambda: torch.empty(10**15, device="cuda:0"), assignment)
    assert report.failure == "out_of_memory"
    assert report.message.startswith("out of memory on cuda:0: the peak was ")
    assert report.evidence["peak_device_bytes"] is not None


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (Diverged("the loss is NaN in task 2, epoch 3"), "diverged"),
        (CheckpointError("No space left on device"), "infrastructure"),
        (DataError("cifar100 is damaged"), "invalid_data"),
        (DataUnavailable("cannot download cifar100"), "infrastructure"),
        (ConnectionResetError("the download broke"), "infrastructure"),
        (CannotConfine("no Landlock"), "infrastructure"),
        (RuleBroken("it keeps 61 exemplars; its budget allows 60"), "rule_broken"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "infrastructure"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "internal"),
        (ZeroDivisionError("division by zero"), "internal"),
    ],
)
def test_every_exception_has_a_class_and_keeps_its_message(error, failure):
    report = report_of(raising(error))
    assert report.failure == failure
    assert str(error) in report.message
    assert report.evidence["traceback"][-1].endswith(str(error))


def test_a_failure_of_a_submitted_file_shows_the_traceback_of_the_file_alone():
    report = report_of(raising(MethodError("ZeroDivisionError: division by zero", ("line 1", "line 2"))))
    assert (report.failure, report.message) == ("method_error", "ZeroDivisionError: division by zero")
    assert report.evidence["traceback"] == ["line 1", "line 2"]


def test_an_invalid_spec_names_its_field():
    report = report_of(raising(InvalidSpec("too many classes", ("track", "protocol", "first"))))
    assert (report.failure, report.evidence["field"]) == ("invalid_spec", ["track", "protocol", "first"])
