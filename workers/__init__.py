"""Execution of runs: claim them from `store`, run the engine in a child process, record its events."""
