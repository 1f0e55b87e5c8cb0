"""The environment of a result: versions, device, threads, host, commit, and the peaks of memory.

Imports PyTorch; the supervisor receives the environment as JSON.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch

import cil_core
from workers.protocol import Environment


def describe(device: str) -> Environment:
    """The environment of this process for a run on `device`.

    Raises:
        RuntimeError: the device does not work.
    """
    torch.empty(1, device=device)
    return {
        "version": cil_core.__version__,
        "engine_version": cil_core.ENGINE_VERSION,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda if _is_cuda(device) else None,
        "cudnn": torch.backends.cudnn.version() if _is_cuda(device) else None,
        "tf32": torch.backends.cudnn.allow_tf32 if _is_cuda(device) else None,
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if _is_cuda(device) else _processor(),
        "threads": torch.get_num_threads(),
        "host": platform.node(),
        "platform": platform.platform(),
    }


def peaks(device: str) -> Environment:
    """Peaks of this process's memory in bytes: resident on the host, and allocated on the device."""
    return {
        "peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "peak_device_bytes": torch.cuda.max_memory_allocated(device) if _is_cuda(device) else None,
    }


def _is_cuda(device: str) -> bool:
    return torch.device(device).type == "cuda"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({os.cpu_count()} cores)"


def _commit() -> str | None:
    """The commit of a source checkout, with `-dirty` after local changes; None for an installed package."""
    root, git = Path(cil_core.__file__).parents[1], shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    command = [
        git,
        "--no-optional-locks",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - no user input
    return answer.stdout.strip() or None
