"""Everything the engine raises on purpose.

    EngineError
    ├── InvalidSpec         the spec cannot be run: unknown name, increments that do not fit,
    │                       a method on a track it cannot run
    ├── Diverged            a loss became NaN or infinite; says task, phase and epoch
    ├── DataError           a fault of the data: damaged, too few images, or another dataset than the track's
    │   └── DataUnavailable the data may be in order, but this machine cannot get it: host, disk or directory
    ├── CheckpointError     a checkpoint cannot be written (disk full, read-only) or does not fit the spec
    │   └── BadState        bytes that are not the state of a method
    ├── InvalidMethodFile   a file cannot be submitted as a method; says the line
    ├── MethodError         the code of a submitted method failed
    ├── RuleBroken          a method broke a rule: budget, protocol, deadline, results that leak
    └── CannotConfine       this machine cannot run a submitted method in the requested sandbox

A damaged checkpoint is not an error: it is reported and the one before it is used.
"""


class EngineError(Exception):
    """Base of the tree; the message says what was given and what was expected."""


class InvalidSpec(EngineError):
    """The spec cannot be run.

    Attributes:
        field: where in the spec the fault lies, as a tuple of keys, e.g.
            `("track", "protocol", "increment")`.
    """

    def __init__(self, message: str, field: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.field = field


class Diverged(EngineError):
    """A loss term is no longer finite."""


class DataError(EngineError):
    """A fault of the data: the same run fails the same way at every attempt."""


class DataUnavailable(DataError):
    """This machine cannot get the data now: a host does not answer, a disk is full, no such directory."""


class CheckpointError(EngineError):
    """A checkpoint could not be written, or belongs to another spec."""


class BadState(CheckpointError):
    """The bytes are not the state of a method."""


class InvalidMethodFile(EngineError):
    """A file cannot be submitted as a method.

    Attributes:
        reason: what is wrong.
        line: where, counted from 1; None if the whole file is meant.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.reason, self.line = reason, line


class MethodError(EngineError):
    """The code of a submitted method raised or crashed.

    Attributes:
        traceback: the last lines of its traceback, for its author.
    """

    def __init__(self, message: str, traceback: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.traceback = traceback


class RuleBroken(EngineError):
    """A method broke a rule: a budget, a protocol, or that testing neither leaks nor changes anything."""


class CannotConfine(EngineError):
    """This machine cannot run a submitted method in the requested sandbox."""
