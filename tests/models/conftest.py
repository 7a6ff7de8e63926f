"""The same random numbers and one thread for every test of a network."""

from __future__ import annotations

from collections.abc import Iterator

import jaxtyping
import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def as_users_have_it() -> Iterator[None]:
    """Leave annotations unchecked, as they are outside tests: a word that there is not reaches the constructor."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
