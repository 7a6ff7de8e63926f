"""A head start: what all jobs are forked from is imported and read while the sweep is still being composed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fiducial.config import GROUPS, Composed, Groups, compose
from fiducial.config.overrides import jobs
from fiducial.config.scalars import described, targets
from fiducial.runs.folder import check_writable
from fiducial.sweeps.ledger import Ledger
from fiducial.sweeps.pool import warm_up

LOCAL = "fiducial.sweeps.launcher.LocalLauncher"


def head_start(overrides: Sequence[str], config_dir: str | None) -> None:
    """Warm up for a sweep, unless its jobs run elsewhere or seem to be done; what it cannot know, each job imports.

    Raises:
        InputError: one of the first jobs is not a configuration that can be run, or its folder cannot be written.
    """
    first = [compose(job, config_dir) for job in unlike(jobs(overrides, Groups.find(config_dir)))]
    check_writable(Path(first[0].cfg.outputs))
    ledger = Ledger(Path(first[0].cfg.outputs))
    if first[0].sweep.launcher.get("_target_") != LOCAL:
        return
    if any(ledger.standing(one.identity())[0] != "done" for one in first):
        warm_up({target for one in first for target in targets(one.cfg)}, common_source(first))


def unlike(lines: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """Return the first of the jobs that pick the same option of each group: they are built from the same classes."""
    picked: dict[tuple[str, ...], Sequence[str]] = {}
    for job in lines:
        picked.setdefault(tuple(line for line in job if line.partition("=")[0] in GROUPS), job)
    return list(picked.values())


def common_source(composed: Iterable[Composed]) -> dict[str, Any] | None:
    """Return what describes where jobs have their cases from, if it is the same for all."""
    sources = [described(one.cfg.data.source) for one in composed]
    return sources[0] if all(source == sources[0] for source in sources) else None
