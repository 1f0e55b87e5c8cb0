"""`python as_user.py UID COMMAND …`: run a command as another user who can read this interpreter.

Only root can. Where the interpreter lies in a directory that others cannot enter, such as /root, a mount
namespace shows the user that directory with nothing but the interpreter in it.
"""

import ctypes
import os
import sys
from pathlib import Path

NEW_MOUNTS, BIND, PRIVATE_TREE = 0x20000, 4096, (1 << 18) | 16384
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind=b"none", flags=0, options=b""):
    checked(LIBC.mount(os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), options))


def show_interpreter():
    interpreter = Path(sys.base_prefix).resolve()
    closed = [path for path in interpreter.parents if not path.stat().st_mode & 0o001]
    if not closed:
        return
    checked(LIBC.unshare(NEW_MOUNTS))
    mount("none", "/", flags=PRIVATE_TREE)
    shown = os.open(interpreter, os.O_PATH)
    mount("tmpfs", closed[-1], b"tmpfs", options=b"mode=0755")
    interpreter.mkdir(parents=True)
    mount(f"/proc/self/fd/{shown}", interpreter, flags=BIND)


def main(user, *command):
    show_interpreter()
    if int(user):
        os.setgroups([])
        os.setresgid(int(user), int(user), int(user))
        os.setresuid(int(user), int(user), int(user))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
