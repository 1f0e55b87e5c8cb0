"""The embedded stack: the whole service on one machine, its demo and its administration."""
