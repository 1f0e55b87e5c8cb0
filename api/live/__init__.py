"""Live state of an API process: event feeds, revisions, cached answers and the worker wake-up."""
