"""A fresh outputs folder whose embedded store is a copy of one made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fiducial.tracking import Tracker
from fiducial.tracking.tracker import DATABASE


@pytest.fixture
def outputs(tmp_path: Path, empty_database: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(empty_database, folder / DATABASE)
    return folder


@pytest.fixture
def tracker(outputs: Path) -> Tracker:
    return Tracker(outputs=outputs, flush_seconds=0.05, system_metrics_seconds=0)
