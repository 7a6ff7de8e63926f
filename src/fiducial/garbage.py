"""When Python collects garbage: not during an import, which makes some million objects and no garbage."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared() -> Iterator[None]:
    """Import large libraries in the body; no garbage is collected while it runs.

    If it imported a module, later collections pass over all objects that there are at its end. Collecting takes a
    quarter of the time of such an import; a process that is forked from this one would also copy every page that a
    collection looks at.
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
