"""One short file a paper. `cil_core.registry` finds them by the name of their recipe."""
