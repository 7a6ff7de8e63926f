"""What holds for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI, try a failed test once more, and say so.

    Many start, kill and wait for processes: on a busy machine one can run into its time limit.
    """
    if os.environ.get("CI"):
        for item in items:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an embedded store that was made once, to be copied: making one takes seconds."""
    from fiducial.tracking import store
    from fiducial.tracking.tracker import DATABASE, embedded_uri

    outputs = tmp_path_factory.mktemp("empty_store")
    store.connect(embedded_uri(outputs))
    return outputs / DATABASE
