"""A fresh outputs folder whose embedded store is a copy of one made once: making one takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fiducial.tracking import Tracker, store
from fiducial.tracking.tracker import DATABASE, embedded_uri


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("empty_store")
    store.connect(embedded_uri(outputs))
    return outputs / DATABASE


@pytest.fixture
def outputs(tmp_path: Path, empty_database: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(empty_database, folder / DATABASE)
    return folder


@pytest.fixture
def tracker(outputs: Path) -> Tracker:
    return Tracker(outputs=outputs, flush_seconds=0.05, system_metrics_seconds=0)
