"""What the processes of a sweep are forked from knows before all jobs are composed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fiducial.config import compose
from fiducial.runs import folder
from fiducial.sweeps import head_start as module
from fiducial.sweeps.head_start import common_source, head_start, unlike


@pytest.fixture
def warmed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], dict[str, Any] | None]]:
    """Start no process; note what it would have been told."""
    told: list[tuple[set[str], dict[str, Any] | None]] = []
    monkeypatch.setattr(module, "warm_up", lambda targets, source: told.append((targets, source)))
    return told


def test_classes_of_every_option_are_known_and_the_data_that_all_share(
    warmed: list[tuple[set[str], dict[str, Any] | None]], tmp_path: Path
) -> None:
    head_start(["model=resnet18,plain_cnn", "optimizer.lr=0.1,0.2", "seed=0,1", f"outputs={tmp_path}"], None)
    ((targets, source),) = warmed
    assert {"fiducial.models.resnet.ResNet", "fiducial.models.plain_cnn.PlainCNN"} <= targets
    assert source == {"_target_": "fiducial.data.phantom.Phantom"}


def test_nothing_is_started_for_jobs_that_are_done_or_run_elsewhere(
    warmed: list[tuple[set[str], dict[str, Any] | None]], tmp_path: Path
) -> None:
    composed = compose([f"outputs={tmp_path}"])
    out = folder.create(composed, composed.identity())
    (out / folder.SCORES).write_text("{}")
    head_start([f"outputs={tmp_path}"], None)
    head_start([f"outputs={tmp_path}", "seed=1", "launcher=submitit_local"], None)
    assert not warmed


def test_jobs_are_unlike_where_they_pick_other_options() -> None:
    jobs = [["model=a", "lr=1"], ["model=a", "lr=2"], ["model=b", "lr=1"]]
    assert unlike(jobs) == [jobs[0], jobs[2]]


def test_jobs_with_different_data_share_no_source() -> None:
    phantoms = [compose([f"data.source.num_subjects={number}"]) for number in (40, 50)]
    assert common_source(phantoms) is None
    assert common_source(phantoms[:1]) == {"_target_": "fiducial.data.phantom.Phantom", "num_subjects": 40}
