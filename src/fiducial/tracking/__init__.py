"""Tracking: a journal in the run's folder first, and from there to MLflow; training never waits for it.

    track ──▶ Run ──▶ journal.jsonl ──▶ Delivery ──▶ MLflow (embedded database or server)
    (lifetime)  │      (every event)      ▲  by the Sender, in the Messenger's process; or later by reconcile
                └─ Sampler (system metrics)

Nothing here imports torch or MLflow before a run's delivery starts.
"""

from fiducial.tracking.lifetime import Terminated, track
from fiducial.tracking.null_run import NullRun
from fiducial.tracking.reconcile import Reconciled, reconcile
from fiducial.tracking.run import Run, prepare_delivery
from fiducial.tracking.tracker import Tracker

__all__ = ["NullRun", "Reconciled", "Run", "Terminated", "Tracker", "prepare_delivery", "reconcile", "track"]
