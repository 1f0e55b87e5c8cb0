"""The class-incremental learning engine: a `RunSpec` in, a stream of events out.

Importing this package imports nothing else, and `cil_core.spec` works without PyTorch, so that the API server
and the client can be installed without it.
"""

__version__ = "0.1.0"
ENGINE_VERSION = "4"
"""Every code change that changes a result increments it; no leaderboard entry mixes two versions."""
