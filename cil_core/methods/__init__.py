"""One short file a paper. `cil_core.engine.registry` finds them by the name of their recipe."""
