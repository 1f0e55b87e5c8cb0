"""Run the comparison: `python -m benchmarks.parity --pycil PATH`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from benchmarks import report
from benchmarks.parity.cases import CASES
from benchmarks.parity.sides import TRACK, Theirs

TOLERANCE = 1e-5
"""Largest relative difference that rounding explains."""


def main() -> int:
    """Compare everything, print the table, and return 1 if anything differs by more than rounding."""
    parser = argparse.ArgumentParser(description="Compare losses and gradients with PyCIL's.")
    parser.add_argument("--pycil", type=Path, required=True, help="A checkout of LAMDA-CL/PyCIL.")
    parser.add_argument("--out", type=Path, help="Markdown file to write.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pycil = Theirs(options.pycil)
    rows = []
    with (
        mock.patch.object(torch.Tensor, "cuda", lambda tensor, *_: tensor),  # COIL's heads move to a GPU
        mock.patch.object(nn.Module, "cuda", lambda module, *_: module),
    ):
        for name, compare in CASES.items():
            ours, theirs, gradient = compare(pycil)
            apart = max(abs(ours - theirs) / abs(theirs), gradient)
            rows.append(
                f"| {name} | {ours:.6f} | {theirs:.6f} | {gradient:.1e} | "
                f"{'yes' if apart < TOLERANCE else 'NO'} |"
            )
            print(rows[-1], flush=True)
    if options.out:
        options.out.write_text(_page(options.pycil, rows), encoding="utf-8")
    return int(any(row.endswith("NO |") for row in rows))


def _page(path: Path, rows: list[str]) -> str:
    git = subprocess.run(
        ["git", "-C", str(path), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return "\n".join(
        [
            "# Parity with PyCIL",
            "",
            f"`python -m benchmarks.parity --pycil PATH`, PyCIL {git.stdout.strip() or 'of unknown commit'}, "
            f"PyTorch {report.versions()['torch']}. Both codes compute the third task of `{TRACK}` from "
            "the same weights, "
            "teacher, memory and batch.",
            "",
            f"They agree if loss and gradient differ by less than {TOLERANCE:g}, relative to the loss and "
            "to the largest "
            "gradient: the teacher's batch norm is folded into its convolutions here, which rounds "
            "differently.",
            "",
            "| loss of | ours | PyCIL | gradients differ by | agree |",
            "| --- | ---: | ---: | ---: | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
