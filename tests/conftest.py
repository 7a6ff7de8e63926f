"""What holds for all tests."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI, try a failed slow test once more, and say so.

    Slow tests start, kill and wait for processes: on a busy machine one can run into its time limit.
    """
    if not os.environ.get("CI"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.flaky(reruns=1))
