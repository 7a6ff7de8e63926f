"""When Python looks for garbage: not among modules, of which there are a million objects and none is garbage."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared() -> Iterator[None]:
    """Import large libraries: nothing is looked for meanwhile, and what is there at the end never again, if any is new.

    Otherwise a quarter of the time of an import goes into it; in a process that is forked from this one, looking
    would also copy every page of it.
    """
    collecting, known = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        if collecting:
            gc.enable()
