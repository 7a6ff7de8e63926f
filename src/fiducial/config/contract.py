"""Which options fit each other, checked before torch is imported.

An option's file may state under `contract.requires` what it fits, as a map from a config path to a list of values,
or to limits that every entry of the value keeps:

    contract:
      requires:
        data.spec.spatial_dims: [2]
        data.spec.size: {at_least: 29}
        data.spec.size: {multiple_of: "${model.patch_size}"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.config.location import Groups
from fiducial.config.wrapped import tell, wraps
from fiducial.errors import InputError


def check_fit(cfg: DictConfig, choices: Mapping[str, str], groups: Groups) -> None:
    """Refuse options that do not fit each other.

    Raises:
        InputError: naming what is needed, what the other option gives, and which options would fit.
    """
    for group, choice in choices.items():
        for path, condition in unmet(cfg, group):
            other = path.partition(".")[0]
            fitting = [option for option in _fitting(cfg, group, groups) if option != choice]
            raise InputError(
                f"{group}={choice} needs {path} to be {_text(condition)}; "
                f"{other}={choices.get(other, '…')} gives {_plain(OmegaConf.select(cfg, path))}. "
                f"Options of {group} that fit: {', '.join(fitting) or 'none'}"
            )


def unmet(cfg: DictConfig, group: str) -> Iterator[tuple[str, Any]]:
    """Yield path and condition of each requirement of a group's option that does not hold."""
    requires = OmegaConf.select(cfg, f"{group}.contract.requires") or {}
    for path in requires:
        condition = _plain(requires[path])
        if not _holds(condition, _plain(OmegaConf.select(cfg, path))):
            yield str(path), condition


def _fitting(cfg: DictConfig, group: str, groups: Groups) -> Iterator[str]:
    """Yield the options of a group that would fit everything else."""
    kind, _, part = group.partition(".")
    trial = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != kind])
    for option in groups.options(kind):
        content = groups.content(kind, option)
        if part and wraps(content):
            continue
        trial[kind] = {**_plainly(cfg[kind]), part: content} if part else content
        if part:
            tell(trial)
        if not any(unmet(trial, group)):
            yield option


def _holds(condition: Any, actual: Any) -> bool:
    if not isinstance(condition, Mapping):
        return actual in _listed(condition)
    entries = actual if isinstance(actual, list) else [actual]
    return all(
        entry is not None and _keeps(name, entry, limit)
        for name, limits in condition.items()
        for entry, limit in zip(entries, _spread(limits, len(entries)), strict=False)
    )


def _keeps(name: str, entry: float, limit: float) -> bool:
    if name == "at_least":
        return entry >= limit
    if name == "multiple_of":
        return entry % limit == 0
    raise InputError(f"contract.requires: expected a list of values, at_least or multiple_of; got {name}")


def _spread(limits: Any, count: int) -> Sequence[Any]:
    return limits if isinstance(limits, list) else [limits] * count


def _listed(condition: Any) -> list[Any]:
    """Return the values that a condition allows; it may be a single one."""
    return list(condition) if isinstance(condition, list | tuple) else [condition]


def _text(condition: Any) -> str:
    if not isinstance(condition, Mapping):
        *names, last = map(str, _listed(condition))
        return f"{', '.join(names)} or {last}" if names else last
    words = {"at_least": "at least", "multiple_of": "a multiple of"}
    return " and ".join(f"{words[name]} {limit}" for name, limit in condition.items())


def _plainly(node: DictConfig) -> dict[str, Any]:
    """Return a node as plain containers, interpolations in place."""
    content = OmegaConf.to_container(node, resolve=False)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
