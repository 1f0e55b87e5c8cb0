"""The class-incremental learning engine: a `RunSpec` in, a stream of events out.

Importing this package imports nothing else: `spec`, `recipes`, `events`, `catalog`, `metrics` and `errors` work without PyTorch,
so that the API server and the client can be installed without it.
"""

__version__ = "0.1.0"
ENGINE_VERSION = "2"
"""Changes whenever a change of code changes a number: results of different engine versions are never mixed in one entry."""
