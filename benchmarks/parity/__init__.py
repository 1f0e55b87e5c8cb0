"""Parity with PyCIL: losses and gradients of both codes from identical weights and batches.

    git clone https://github.com/LAMDA-CL/PyCIL PATH
    python -m benchmarks.parity --pycil PATH --out benchmarks/results/parity.md

Everything of PyCIL is imported from PATH, which needs its requirements: tqdm, POT and quadprog.

Decisions:
    * PyCIL's own training loops run. Its networks get our backbones, so that weights can be equal; a
      recording optimiser keeps the loss and the gradients of the first step and stops the loop.
    * Two tasks are learnt first, so that there is a teacher and a memory; then all weights move at random, so
      that no term vanishes.
    * The gradient's difference is the largest absolute difference over the largest absolute gradient of
      PyCIL's.
"""
