"""The sandbox for files that users submit: what a process may still do after it entered. Linux, torch-free.

    policy       what the process may read, use and spend
    entrance     `enter(policy)`, which a forked process calls once
    limits       descriptors, resource limits, environment
    namespaces   own root, network, processes and IPC (`walled` only)
    landlock     files
    seccomp      system calls
    kernel       system calls that Python does not offer, by name
    probes       attempts to break out, one function each
    trial        a process that runs probes inside the sandbox
    self_test    what a worker asks of a trial before it offers runs

Decisions:
    * Two modes. `locked` needs no privilege and works in containers: Landlock, seccomp, limits. `walled` adds
      namespaces and a root of its own, where the host allows them.
    * A layer that the host lacks is an error that names it; a process never enters half a sandbox.
    * Everything is allowed by name and refused by default: files, system calls, options of system calls.
    * A process is the unit: it can neither fork nor execute, so what it kept ends with it.
"""

from workers.sandbox.entrance import enter
from workers.sandbox.kernel import SandboxError
from workers.sandbox.policy import Mode, Policy, default_policy, with_cuda
from workers.sandbox.self_test import available, self_test

__all__ = ["Mode", "Policy", "SandboxError", "available", "default_policy", "enter", "self_test", "with_cuda"]
