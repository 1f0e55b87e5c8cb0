"""Claim runs from `store`, run the engine in a child process, record what it yields."""
