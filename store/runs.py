"""The state machine of runs: the one door through which a run changes.

    submit ──► queued ──claim──► running ──finish──► succeeded
                 ▲                  │ ├────fail────► failed, or dead after the last attempt
                 ├──release, fail───┘ └───cancel───► cancelled
                 └──reap (lease lost)

Every verb takes a session of `Database.transaction()` first and is one transaction: the caller's, ended at the edge. Messages to workers are sent
after its commit. How each verb works is told in the module it comes from.
"""

from store.cancellation import cancel
from store.claims import Claim, Heartbeat, WorkerOffer, claim, heartbeat, spec_of
from store.endings import DEFAULT_POLICY, Reaped, RetryPolicy, fail, reap, release
from store.recording import finish, record
from store.states import FailureClass, RunState
from store.submission import submit
from store.workers import list_workers, register_worker, worker_heartbeat, worker_stopped

__all__ = [
    "DEFAULT_POLICY",
    "Claim",
    "FailureClass",
    "Heartbeat",
    "Reaped",
    "RetryPolicy",
    "RunState",
    "WorkerOffer",
    "cancel",
    "claim",
    "fail",
    "finish",
    "heartbeat",
    "list_workers",
    "reap",
    "record",
    "register_worker",
    "release",
    "spec_of",
    "submit",
    "worker_heartbeat",
    "worker_stopped",
]
