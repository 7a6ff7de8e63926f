"""Large imports: nothing is looked for meanwhile, and what is there afterwards is left alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from fiducial.garbage import spared


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_looked_for_inside_and_what_was_made_there_never_again() -> None:
    with spared():
        assert not gc.isenabled()
        made = [[]]
        made[0].append(made)
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert not any(one is made for one in gc.get_objects())


def test_collecting_goes_on_after_a_failed_import_and_stays_off_where_it_was() -> None:
    with pytest.raises(ImportError), spared():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    with spared():
        pass
    assert not gc.isenabled()
