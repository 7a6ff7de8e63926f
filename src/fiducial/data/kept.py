"""Sources whose images are in memory already: read once, by the process that others are forked from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate

from fiducial.data.source import Source

_kept: dict[str, Source] = {}


def keep(node: Mapping[str, Any]) -> None:
    """Read all that the source described by a configuration's node has, if it is soon done.

    Raises:
        Exception: whatever is wrong with the source; who learns from it will say so.
    """
    source = instantiate({**node, "_convert_": "all"})
    if source.is_at_hand:
        source.pixels()
        source.fingerprint()
        _kept[_key(node)] = source


def kept(node: Mapping[str, Any]) -> Source | None:
    """Return the source that a node describes, if it was kept in this process or the one it was forked from."""
    return _kept.get(_key(node))


def _key(node: Mapping[str, Any]) -> str:
    return json.dumps(node, sort_keys=True)
