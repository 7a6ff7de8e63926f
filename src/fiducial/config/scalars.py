"""A configuration as a flat table: what is shown, logged and compared of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

# Where files lie and what a run is called: no settings, though they are in the configuration.
NOT_SETTINGS = ("outputs", "data_dir", "cache_dir", "resume", "name", "study")


def settings(cfg: DictConfig) -> dict[str, Any]:
    """Return the scalar settings, and lists of scalars, by dotted key; contracts and facts about the data are none."""
    return dict(_scalars(OmegaConf.to_container(cfg, resolve=True)))


def _scalars(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            inside = f"{path}.{key}" if path else str(key)
            if key not in ("contract", "spec") and inside not in NOT_SETTINGS and item is not None:
                yield from _scalars(item, inside)
    elif not isinstance(value, list) or not any(isinstance(item, dict | list) for item in value):
        yield path, value


def described(node: DictConfig) -> dict[str, Any]:
    """Return a node as plain containers, interpolations replaced by their values."""
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def targets(node: Any) -> Iterator[str]:
    """Yield the dotted names of all classes that a configuration names."""
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(node, resolve=False)
    if isinstance(node, dict):
        if isinstance(name := node.get("_target_"), str):
            yield name
        for part in node.values():
            yield from targets(part)
