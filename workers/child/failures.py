"""From an exception in the child to a failure class with a message that says what to do about it.

Imports PyTorch.

InvalidSpec                                       invalid_spec    the spec fails in the same way everywhere
DataError                                         invalid_data    a fault of the data: every attempt fails
Diverged                                          diverged
MemoryError, CPU or CUDA allocation refused       out_of_memory   never retried; names device, limit and peak
DataUnavailable, CheckpointError, other OSErrors  infrastructure  a fault of this machine: a retry may succeed
a CUDA error, CannotConfine                       infrastructure  a broken device, no sandbox on this machine
MethodError                                       method_error    the file of a submitted method failed
RuleBroken                                        rule_broken     a method broke a rule
anything else                                     internal        a bug in this software
"""

from __future__ import annotations

import traceback

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
from workers.child.environment import peaks
from workers.protocol import Assignment, Environment, Failed, FailureName

_GIB = 2**30
_TRACEBACK_LINES = 50
_FAULTS_OF_THIS_MACHINE = (CheckpointError, DataUnavailable, CannotConfine, OSError, torch.AcceleratorError)
_CLASSES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], FailureName], ...] = (
    (InvalidSpec, "invalid_spec"),
    (Diverged, "diverged"),
    (MethodError, "method_error"),
    (RuleBroken, "rule_broken"),
    (_FAULTS_OF_THIS_MACHINE, "infrastructure"),
    (DataError, "invalid_data"),
)
"""The first kind that fits decides; `DataUnavailable` is a `DataError`."""


def failed(error: Exception, assignment: Assignment) -> Failed:
    """What to tell the supervisor of an exception."""
    lines = "".join(traceback.format_exception(error)).splitlines()[-_TRACEBACK_LINES:]
    evidence: Environment = {
        "exception": type(error).__name__,
        "traceback": [*lines],
        "device": assignment.device,
    }
    if _is_out_of_memory(error):
        used = peaks(assignment.device)
        return Failed(
            failure="out_of_memory", message=_out_of_memory(error, assignment, used), evidence=evidence | used
        )
    failure: FailureName = next((name for kinds, name in _CLASSES if isinstance(error, kinds)), "internal")
    message = f"{type(error).__name__}: {error}" if failure in {"infrastructure", "internal"} else str(error)
    return Failed(failure=failure, message=message, evidence=evidence | _details(error))


def _details(error: Exception) -> Environment:
    """Evidence of some errors: the field of a spec, the traceback of a submitted file instead of ours."""
    if isinstance(error, InvalidSpec):
        return {"field": [*error.field]}
    return {"traceback": [*error.traceback]} if isinstance(error, MethodError) else {}


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch's CPU allocator raises a plain RuntimeError; its text is all there is to know it by.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _out_of_memory(error: Exception, assignment: Assignment, used: Environment) -> str:
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, torch.OutOfMemoryError):
        peak, limit = used["peak_device_bytes"], _device_bytes(assignment.device)
        where = f"on {assignment.device}"
    else:
        peak, limit = used["peak_host_bytes"], assignment.memory_bytes
        where = f"on the host, running on {assignment.device}"
    bound = f" of {limit / _GIB:.1f} GiB" if limit else ""
    used_gib = (peak if isinstance(peak, int) else 0) / _GIB
    return f"out of memory {where}: the peak was {used_gib:.1f} GiB{bound}; {first_line}"


def _device_bytes(device: str) -> int | None:
    return (
        torch.cuda.get_device_properties(device).total_memory if torch.device(device).type == "cuda" else None
    )
