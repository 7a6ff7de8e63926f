"""Which options fit each other, checked before torch is imported.

An option's file may state under `contract.requires` the values it fits, as a map from a config path to a list:

    contract: {requires: {data.spec.spatial_dims: [2]}}

and every component is held against the arguments that its class takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.config.location import Groups
from fiducial.config.signature import exists, signature
from fiducial.errors import InputError, nearest

SPECIAL = frozenset({"_target_", "_partial_", "_recursive_", "_convert_", "_args_"})
RESERVED = {"data": {"spec"}}  # keys that the framework itself adds to a component


def check_arguments(cfg: DictConfig, choices: Mapping[str, str]) -> None:
    """Refuse an argument that a component's class does not take, or one that is missing.

    Raises:
        InputError: naming the argument, the nearest one, and all that the class takes.
    """
    for group, choice in choices.items():
        component = cfg.get(group)
        if not isinstance(component, DictConfig):
            continue
        known = RESERVED.get(group, set()) | {"contract"}
        if "_target_" not in component and (keys := [str(key) for key in component if key not in known]):
            raise InputError(f"{group}={choice} takes no options; got {group}.{keys[0]}")
        for path, node in _components(group, component):
            _check_component(path, node, f"{group}={choice}", known if path == group else set())


def _components(path: str, node: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    if "_target_" in node:
        yield path, node
    for key in node:
        if not OmegaConf.is_interpolation(node, key) and isinstance(value := node._get_node(key), DictConfig):
            yield from _components(f"{path}.{key}", value)


def _check_component(path: str, node: DictConfig, option: str, known: set[str]) -> None:
    target = str(node["_target_"])
    accepted = signature(target)
    if accepted is None:
        if exists(target) is False:
            raise InputError(f"{path}._target_: {target!r} cannot be found on the Python path")
        return
    given = {str(key) for key in node} - SPECIAL - known
    name = target.rpartition(".")[2]
    if not accepted.open and (wrong := sorted(given - set(accepted.names))):
        raise InputError(
            f"{path}.{wrong[0]}: {name} ({option}) has no such option{nearest(wrong[0], accepted.names)} "
            f"(it takes: {', '.join(accepted.names) or 'none'})"
        )
    missing = [argument for argument in accepted.required if argument not in given]
    if missing and not node.get("_partial_") and "_args_" not in node:
        raise InputError(f"{path}: {name} ({option}) needs {', '.join(missing)}; give {path}.{missing[0]}=…")


def check_fit(cfg: DictConfig, choices: Mapping[str, str], groups: Groups) -> None:
    """Refuse options that do not fit each other.

    Raises:
        InputError: naming what is needed, what the other option gives, and which options would fit.
    """
    for group, choice in choices.items():
        component = cfg.get(group)
        requires = OmegaConf.select(cfg, f"{group}.contract.requires") if component else None
        for path, allowed in (requires or {}).items():
            actual = OmegaConf.select(cfg, str(path))
            if actual not in allowed:
                other = str(path).partition(".")[0]
                fitting = [name for name in groups.options(group) if _fits(cfg, groups.contract(group, name))]
                raise InputError(
                    f"{group}={choice} needs {path} to be {_either(allowed)}; "
                    f"{other}={choices.get(other, '…')} gives {actual}. "
                    f"Options of {group} that fit: {', '.join(fitting) or 'none'}"
                )


def _fits(cfg: DictConfig, contract: Mapping[str, Any]) -> bool:
    requires = contract.get("requires") or {}
    return all(OmegaConf.select(cfg, path) in allowed for path, allowed in requires.items())


def _either(values: Any) -> str:
    return " or ".join(str(value) for value in values)
