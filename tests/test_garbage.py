"""Large imports: nothing is looked for meanwhile, and what is there afterwards is left alone."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from fiducial.garbage import spared


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("new", [True, False])
def test_nothing_is_looked_for_inside_and_new_modules_never_again(new: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with spared():
        assert not gc.isenabled()
        module = ModuleType("brand_new")
        if new:
            monkeypatch.setitem(sys.modules, "brand_new", module)
    assert gc.isenabled()
    assert any(one is module for one in gc.get_objects()) is not new


def test_collecting_goes_on_after_a_failed_import_and_stays_off_where_it_was() -> None:
    with pytest.raises(ImportError), spared():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    with spared():
        pass
    assert not gc.isenabled()
