"""Commands of the worker package: `cil worker`, `cil run`, `cil gc` and `cil data`."""
