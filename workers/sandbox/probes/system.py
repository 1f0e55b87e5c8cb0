"""Probes of the kernel's interfaces: what changes the machine, and calls in other numberings."""

from __future__ import annotations

import ctypes
import errno
import mmap
import platform
import struct
from collections.abc import Iterator

from workers.sandbox.kernel import invoke, number
from workers.sandbox.probes import Target, probe, reached_kernel
from workers.sandbox.seccomp import ALLOWED, CONDITIONAL

_LAST_CALL = 600
_REFUSALS = {errno.EPERM, errno.ENOSYS}
_X32 = 0x40000000
_GETPID_X32, _GETPID_I386 = _X32 + 39, 20
_FORBIDDEN: dict[str, tuple[int | bytes | None, ...]] = {
    "unshare": (-1,),
    "setns": (-1, 0),
    "mount": (0, 0, 0, 0, 0),
    "umount2": (0, 0),
    "fsopen": (0, -1),
    "fsmount": (-1, 0, 0),
    "fspick": (-1, 0, -1),
    "open_tree": (-1, 0, -1),
    "move_mount": (-1, 0, -1, 0, -1),
    "mount_setattr": (-1, 0, -1, 0, 0),
    "bpf": (-1, 0, 0),
    "io_uring_setup": (0, 0),
    "io_uring_enter": (-1, 0, 0, 0, 0, 0),
    "io_uring_register": (-1, -1, 0, 0),
    "io_setup": (0, 0),
    "userfaultfd": (-1,),
    "perf_event_open": (0, 0, -1, -1, 0),
    "name_to_handle_at": (-1, 0, 0, 0, -1),
    "open_by_handle_at": (-1, 0, 0),
    "personality": (0xFFFFFFFF,),
    "init_module": (0, 0, 0),
    "finit_module": (-1, 0, 0),
    "delete_module": (0, 0),
    "kexec_load": (0, 100, 0, 0),
    "kexec_file_load": (-1, -1, 0, 0, -1),
    "syslog": (100, 0, 0),
    "quotactl": (-1, 0, 0, 0),
    "sethostname": (0, -1),
    "setdomainname": (0, -1),
    "settimeofday": (1, 0),
    "clock_settime": (-1, 0),
    "adjtimex": (0,),
    "iopl": (4,),
    "ioperm": (-1, -1, 1),
    "modify_ldt": (100, 0, 0),
    "lookup_dcookie": (0, 0, 0),
    "seccomp": (0, -1, 0),
    "landlock_create_ruleset": (0, 0, -1),
    "landlock_restrict_self": (-1, -1),
    "mlockall": (0,),
    "remap_file_pages": (0, 0, 0, 0, 0),
    "pkey_alloc": (-1, 0),
    "timer_create": (-1, 0, 0),
    "setrlimit": (-1, 0),
    "statmount": (0, 0, 0, -1),
    "listmount": (0, 0, 0, -1),
    "set_mempolicy_home_node": (0, 0, 0, -1),
}
"""Invalid arguments: outside a sandbox the kernel reports them, and nothing happens."""


@probe()
def changes_the_machine(target: Target) -> Iterator[str]:
    for name, arguments in _FORBIDDEN.items():
        if found := reached_kernel(name, *arguments):
            yield found


@probe(alone=True)
def makes_every_other_call(target: Target) -> Iterator[str]:
    """Each number that the filter does not list, with arguments that mean nothing."""
    if found := reached_kernel("personality", 0xFFFFFFFF):
        yield f"{found}; without a filter, the other calls would be dangerous"
        return
    listed = {number(name) for name in ALLOWED | CONDITIONAL}
    for code in range(_LAST_CALL + 1):
        if code not in listed and (invoke(code, *[-1] * 6) != -1 or ctypes.get_errno() not in _REFUSALS):
            yield f"call {code} reached the kernel: error {ctypes.get_errno()}"


@probe(alone=True)
def numbers_a_call_as_x32_does(target: Target) -> Iterator[str]:
    if platform.machine() == "x86_64" and (result := invoke(_GETPID_X32)) != -1:
        yield f"getpid returned {result}"
    elif platform.machine() == "x86_64" and ctypes.get_errno():
        yield "an x32 call reached the kernel"


@probe(alone=True)
def calls_as_a_32_bit_program_does(target: Target) -> Iterator[str]:
    """`int 0x80` in a page of machine code: the 32-bit table has other numbers than the filter lists."""
    if platform.machine() != "x86_64":
        return
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8" + struct.pack("<I", _GETPID_I386) + b"\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    yield f"getpid returned {result}"
