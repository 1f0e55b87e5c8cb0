"""Executes a run: the task loop, training, evaluation and checkpoints."""
