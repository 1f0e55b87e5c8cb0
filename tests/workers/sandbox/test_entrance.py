"""Entering: what still works inside, what ends with what, and what refuses to enter."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.workers.sandbox.trials import AS_USER, MODES, ROOT, run_as, trial
from workers.sandbox import Mode, available, default_policy

TRAIN = """
import os, sys, torch, torch._dynamo
from workers.sandbox import Mode, default_policy, enter

def train():
    layers = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(144, 3)
    net = torch.nn.Sequential(*layers)
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(net(torch.ones(3, 1, 8, 8)), torch.tensor([0, 1, 2]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    import scipy.optimize

for mode in sys.argv[1:]:
    if os.fork() == 0:
        enter(default_policy(Mode(mode), memory_bytes=2**30))
        train()
        os._exit(0)
    print(mode, os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
CUDA_SOCKETS = """
import errno, socket
own = socket.socket(socket.AF_UNIX)
own.bind("\\0cuda-uvmfd-1")
own.listen()
memory = os.memfd_create("cuda")
other = "\\0other"
for attempt in (own.connect, (other,)), (own.sendto, (b"x", other)), (socket.socket, (socket.AF_INET,)):
    try:
        attempt[0](*attempt[1])
        print("worked")
    except OSError as error:
        print(errno.errorcode[error.errno])
open("/proc/self/task/%d/comm" % os.getpid(), "w").write("cuda")
"""


@pytest.mark.slow
def test_pytorch_trains_inside():
    """As an unprivileged user, who can enter every mode that the machine has."""
    modes = [mode for mode in MODES if trial("user", mode)["refused"] is None]
    done = run_as("user", "-c", TRAIN, *modes)
    assert done.stdout.splitlines() == [f"{mode} 0" for mode in modes] != []


def test_a_cuda_process_may_bind_but_not_connect(inside):
    done = inside(CUDA_SOCKETS, policy="with_cuda(policy, 0)")
    assert done.stdout.split() == ["EPERM", "EPERM", "EPERM", "status", "0"], done.stderr


def test_what_is_kept_stays_open(inside):
    code = 'print(os.pread(kept, 4, 0).decode(), len(os.listdir("/proc/self/fd")))'
    before = (
        'kept = os.memfd_create("kept"); os.write(kept, b"kept"); other = os.open("/etc/passwd", os.O_RDONLY)'
    )
    done = inside(code, before, policy='__import__("dataclasses").replace(policy, keep=(kept,))')
    assert done.stdout.split()[:2] == ["kept", "5"], done.stderr  # with 0, 1, 2 and that of the listing


HIDDEN = """
for name in ("open", "hidden/secret", "alias/secret"):
    try:
        print((tree / name).read_text())
    except OSError as error:
        print(type(error).__name__)
"""


def test_a_hidden_directory_cannot_be_read_through_a_link_beside_it(inside):
    tree = Path(tempfile.mkdtemp(prefix="cil-hidden-"))
    tree.chmod(0o755)
    (tree / "hidden").mkdir()
    (tree / "hidden" / "secret").write_text("secret")
    (tree / "open").write_text("open")
    (tree / "alias").symlink_to("hidden")
    before = f"from pathlib import Path; from dataclasses import replace; tree = Path({str(tree)!r})"
    policy = 'replace(policy, readable=(*policy.readable, tree), hidden=(tree / "hidden",))'
    found = inside(HIDDEN, before, policy).stdout.split()
    shutil.rmtree(tree)
    assert found[0] == "open"
    assert set(found[1:3]) <= {"PermissionError", "FileNotFoundError"}


def test_the_exit_code_of_the_process_inside_is_passed_on(inside):
    assert inside("os._exit(7)").stdout.split() == ["status", "7"]


def test_the_signal_that_ended_the_process_inside_is_passed_on(inside):
    code = "import ctypes; ctypes.string_at(8)"
    assert inside(code).stdout.split() == ["status", str(-signal.SIGSEGV)]


def test_an_endless_loop_ends_with_its_cpu_time(inside):
    done = inside("while True: pass", policy='__import__("dataclasses").replace(policy, cpu_seconds=1)')
    assert done.stdout.split() in (["status", str(-signal.SIGKILL)], ["status", str(-signal.SIGXCPU)])


def test_hash_randomisation_is_refused():
    code = "from workers.sandbox import *; enter(default_policy(Mode.WALLED))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
    )
    assert "PYTHONHASHSEED=0" in done.stderr


def test_a_process_with_threads_is_refused(inside):
    before = "import threading; pause = threading.Event()"
    policy = "(threading.Thread(target=pause.wait, daemon=True).start(), policy)[1]"
    assert "2 threads" in inside("", before, policy).stderr


def test_the_process_inside_ends_with_its_parent(place, tmp_path):
    """The parent is killed with SIGKILL, which nothing can catch."""
    user, mode = place
    code = (
        "import os, sys, time\nfrom workers.sandbox import *\n"
        "if os.fork() == 0:\n"
        f"    enter(default_policy(Mode('{mode}')))\n"
        "    print('inside', flush=True)\n"
        "time.sleep(600)"
    )
    command = [sys.executable, str(AS_USER), "0" if user == "root" else "1234"] if os.geteuid() == 0 else []
    parent = subprocess.Popen(
        [*command, sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout.readline() == b"inside\n"
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) == (2 if mode == "walled" else 1)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


def test_the_labels_that_scikit_learn_ships_are_hidden():
    hidden = default_policy(Mode.LOCKED).hidden
    assert any((path / "digits.csv.gz").exists() for path in hidden)


def test_every_mode_is_available_or_says_why():
    modes = available()
    assert set(modes) == set(Mode)
    assert all(reason is None or len(reason) > 20 for reason in modes.values())


def test_a_directory_that_nobody_can_enter_is_named():
    if os.geteuid() != 0 or all(parent.stat().st_mode & 1 for parent in Path(sys.base_prefix).parents):
        pytest.skip("needs root and an interpreter that others cannot read")
    assert sys.base_prefix in available()[Mode.LOCKED]


WITHOUT_LIBSECCOMP = """
import ctypes, os, subprocess, sys
from tests.workers.sandbox.as_user import BIND, NEW_MOUNTS, PRIVATE_TREE, LIBC, checked, mount
checked(LIBC.unshare(NEW_MOUNTS))
mount("none", "/", flags=PRIVATE_TREE)
ctypes.CDLL("libseccomp.so.2")
(path,) = {line.split()[-1] for line in open("/proc/self/maps") if "libseccomp" in line}
mount("/dev/null", path, flags=BIND)
subprocess.run([sys.executable, "-m", "workers.sandbox.trial", "walled"], check=True)
"""

WITHOUT_NAMESPACES = """
import os, pathlib, subprocess, sys
from tests.workers.sandbox.as_user import LIBC, checked
user = os.geteuid()
checked(LIBC.unshare(0x10000000))
for name, text in ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{user} {user} 1"):
    pathlib.Path("/proc/self", name).write_text(text)
pathlib.Path("/proc/sys/user/max_user_namespaces").write_text("0")
subprocess.run([sys.executable, "-m", "workers.sandbox.trial", *sys.argv[1:]], check=True)
"""


def test_without_libseccomp_the_reason_names_it():
    refused = json.loads(run_as("root", "-c", WITHOUT_LIBSECCOMP).stdout)["refused"]
    assert "libseccomp.so.2 is not installed" in refused


def test_where_the_host_forbids_namespaces_the_reason_names_them():
    refused = json.loads(run_as("user", "-c", WITHOUT_NAMESPACES, "walled").stdout)["refused"]
    assert refused == "user namespace: No space left on device"


def test_where_the_host_forbids_namespaces_locked_still_holds():
    if reason := trial("user", "locked")["refused"]:
        pytest.skip(reason)
    done = json.loads(run_as("user", "-c", WITHOUT_NAMESPACES, "locked").stdout)
    assert (done["refused"], done["found"]) == (None, {})
