"""Check the installation and the tracking database; settle runs whose process died, and send what was not sent."""

from __future__ import annotations

import argparse
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.tracking.store import Finding
    from fiducial.tracking.tracker import Tracker

EXAMPLES = "examples:\n  fiducial doctor\n  fiducial doctor --outputs /data/outputs"
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "mlflow", "monai", "torchmetrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--outputs", default="outputs", metavar="DIR", help="folder of runs (default: outputs)")


def run(args: argparse.Namespace) -> int:
    """Print one line a finding; return 1 if there is an error among them."""
    from fiducial.tracking.store import Finding, health
    from fiducial.tracking.tracker import Tracker

    outputs = Path(args.outputs).expanduser().resolve()
    tracker, refused = Tracker(outputs=outputs, uri=None), ""
    try:
        tracker = Tracker(outputs=outputs)
    except InputError as error:  # the folder cannot hold a database; its runs may be tracked on a server
        refused = str(error)
    findings = [
        *_environment(),
        _folder(outputs),
        *_settle(outputs, tracker),
        *(health(tracker.uri) if tracker.uri else [Finding("warning", "database", refused)]),
        *_server(outputs),
    ]
    for finding in findings:
        print(f"{finding.level:<8}{finding.subject:<20}{finding.message}")
    return int(any(finding.level == "error" for finding in findings))


def _folder(outputs: Path) -> Finding:
    """Examine the folder of runs, and leave it as it is."""
    from fiducial.tracking.store import Finding

    if outputs.is_dir():
        if os.access(outputs, os.W_OK | os.X_OK):
            return Finding("ok", "outputs", str(outputs))
        return Finding("error", "outputs", f"{outputs} cannot be written")
    if outputs.exists():
        return Finding("error", "outputs", f"{outputs} is no folder")
    return Finding("warning", "outputs", f"{outputs} is not there; the first run with outputs={outputs} makes it")


def _environment() -> list[Finding]:
    from fiducial.hardware import Hardware
    from fiducial.tracking.store import Finding

    findings = []
    for package in PACKAGES:
        try:
            findings.append(Finding("ok", package, version(package)))
        except PackageNotFoundError:
            findings.append(Finding("error", package, f"is not installed; pip install {package}"))
    device = Hardware()
    findings.append(
        Finding("ok", "device", f"hardware=auto uses {device.device_type}, precision {device.lightning_precision()}")
    )
    return findings


def _server(outputs: Path) -> list[Finding]:
    """Examine the server that `tracking=server` takes, if the environment names one."""
    from fiducial.tracking.store import Finding, health
    from fiducial.tracking.tracker import Tracker

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return []
    try:
        uri = Tracker(outputs=outputs, uri="env").uri
    except InputError as error:
        return [Finding("warning", "MLFLOW_TRACKING_URI", str(error))]
    assert uri is not None
    return health(uri)


def _settle(outputs: Path, tracker: Tracker) -> list[Finding]:
    from fiducial.tracking.reconcile import reconcile
    from fiducial.tracking.store import Finding

    findings = []
    for run in reconcile(outputs, tracker, elsewhere=True):
        died = "its process died; it is FAILED now, " if run.died else ""
        sent = "everything is delivered" if run.delivered else f"not everything could be delivered yet: {run.reason}"
        how = f"; go on with it: fiducial train {quote(f'resume={run.out}')}" if run.died else ""
        findings.append(Finding("ok" if run.delivered else "warning", f"run {run.id[:8]}", f"{died}{sent}{how}"))
    return findings or [Finding("ok", "interrupted runs", "none")]
