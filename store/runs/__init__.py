"""The state machine of runs: the only package that changes a run.

    submit ──► queued ──claim──► running ──finish──► succeeded
                 ▲                  │ ├────fail────► failed, or dead after the last attempt
                 ├──release, fail───┘ └───cancel───► cancelled
                 └──reap (lease lost)

Every verb takes a session of `Database.transaction()` first. The transaction is the caller's, which commits
it at the edge and sends messages to workers after the commit. The modules document their verbs.
"""

from store.database.states import FailureClass, RunState
from store.runs.cancellation import cancel
from store.runs.claims import Claim, Heartbeat, WorkerOffer, claim, heartbeat, spec_of
from store.runs.events import job_events, losses
from store.runs.failures import DEFAULT_POLICY, Reaped, RetryPolicy, fail, reap, release
from store.runs.recording import finish, record, summaries_of
from store.runs.replays import Lineage, lineage, replay
from store.runs.submission import ensure_track, entry_id, run_key, submit
from store.runs.summaries import digest, matrices
from store.runs.workers import WorkerStatus, list_workers, register_worker, worker_heartbeat, worker_stopped

__all__ = [
    "DEFAULT_POLICY",
    "Claim",
    "FailureClass",
    "Heartbeat",
    "Lineage",
    "Reaped",
    "RetryPolicy",
    "RunState",
    "WorkerOffer",
    "WorkerStatus",
    "cancel",
    "claim",
    "digest",
    "ensure_track",
    "entry_id",
    "fail",
    "finish",
    "heartbeat",
    "job_events",
    "lineage",
    "list_workers",
    "losses",
    "matrices",
    "reap",
    "record",
    "register_worker",
    "release",
    "replay",
    "run_key",
    "spec_of",
    "submit",
    "summaries_of",
    "worker_heartbeat",
    "worker_stopped",
]
