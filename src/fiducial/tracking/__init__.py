"""Tracking: a journal in the run's folder first, and from there to MLflow; training never waits for it.

    track ──▶ Run ──▶ journal.jsonl ──▶ Delivery ──▶ MLflow (embedded database or server)
    (lifetime)  │      (every event)      ▲  by the Sender, in the Messenger's process; or later by reconcile
                └─ Sampler (system metrics)

    tracker           where runs are tracked, and how patiently
    lifetime          a run's life, and its true status whatever happens
    run               a tracked run
    null_run          the run of a process that must not log
    journal           every event as a line of JSON
    system            load and memory of machine and processes
    lightning_logger  Lightning's metrics, passed on to a run
    provenance        where a run comes from: code, packages, machine, command line
    delivery          a journal sent to the store
    batch             metrics, parameters and tags of one request
    receipt           how far a journal was delivered
    nesting           a run that is given another name and parent
    sender            the thread that delivers a run
    messenger         the process that does
    courier           the thread that delivers many runs
    reconcile         runs that ended without a word, or did not fully arrive
    liveness          which runs are alive
    store             MLflow's store: made, reached, examined
    table_view        what the UI's table of runs shows

Nothing here but lightning_logger imports torch, and nothing imports MLflow before a run's delivery starts.
"""

from fiducial.tracking.lifetime import Terminated, track
from fiducial.tracking.null_run import NullRun
from fiducial.tracking.reconcile import Reconciled, reconcile
from fiducial.tracking.run import Run, prepare_delivery
from fiducial.tracking.tracker import Tracker

__all__ = ["NullRun", "Reconciled", "Run", "Terminated", "Tracker", "prepare_delivery", "reconcile", "track"]
