"""Whether the keys of a component are arguments that its class takes, and their values of the right kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.config.definition import check_exists
from fiducial.config.location import Groups
from fiducial.config.schema import DECIDED, FILLED, PRESETS, TRAINER
from fiducial.config.signature import Signature, signature
from fiducial.errors import InputError, nearest

SPECIAL = frozenset({"_target_", "_partial_", "_recursive_", "_convert_", "_args_"})


@dataclass(frozen=True)
class Component:
    """A node of the configuration that describes an object.

    Attributes:
        path: where it is ("data.source").
        node: its arguments.
        target: what is built, as a dotted name.
        option: what put it there ("data=phantom").
        filled: arguments that the run gives by itself.
    """

    path: str
    node: DictConfig
    target: str
    option: str
    filled: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.target.rpartition('.')[2]} ({self.option})"

    @property
    def keys(self) -> list[str]:
        """The arguments given."""
        return [str(key) for key in self.node if key not in SPECIAL and key != "contract"]

    def wrong(self, accepted: Signature) -> list[str]:
        """Return the arguments given that there are not."""
        return [key for key in self.keys if key not in accepted.arguments and not accepted.open]

    def missing(self, accepted: Signature) -> list[str]:
        """Return the arguments that are needed and not given."""
        if self.node.get("_partial_") or "_args_" in self.node:
            return []
        given = {key for key in self.keys if not OmegaConf.is_missing(self.node, key)} | {*self.filled}
        return [name for name in accepted.names if name in accepted.required and name not in given]

    def misfits(self, accepted: Signature) -> Iterator[tuple[str, Any]]:
        """Yield key and value of arguments of a kind that their annotation excludes."""
        for key in self.keys:
            value = _written(self.node, key)
            known = key in accepted.arguments and "${" not in str(value)
            optional = value is None and key in accepted.optional
            if known and not optional and not accepted.arguments[key].fits(value):
                yield key, value


def check_components(cfg: DictConfig, choices: Mapping[str, str], groups: Groups) -> None:
    """Refuse an argument that a component's class does not take, one of another kind, or one that is missing.

    Raises:
        InputError: naming the argument, the nearest one, and all that the class takes.
    """
    presets = {f"{name}={choices[name]}": groups.content(name, choices[name]) for name in PRESETS if name in choices}
    for group, choice in choices.items():
        node = cfg.get(group)
        if not isinstance(node, DictConfig):
            continue
        option = f"{group}={choice}"
        accepted = OmegaConf.select(node, "contract.accepts") or ()
        keys = [str(key) for key in node if key != "contract" and key not in accepted]
        if "_target_" not in node and keys:
            raise InputError(f"{option} takes no options; got {group}.{keys[0]}{_set_by(presets, group, keys)}")
        for component in _components(group, node, option, FILLED.get(group, ())):
            _check(component, presets)
    if cfg.trainer:
        _check_undecided(cfg.trainer)
        _check(Component("trainer", cfg.trainer, TRAINER, "pytorch_lightning"), presets)


def _check_undecided(trainer: DictConfig) -> None:
    for key in map(str, trainer):
        if key in DECIDED:
            raise InputError(f"trainer.{key} is no setting: {DECIDED[key]} decides it")


def _components(path: str, node: DictConfig, option: str, filled: tuple[str, ...] = ()) -> Iterator[Component]:
    """Yield the component at a path, and those inside it."""
    if "_target_" in node:
        yield Component(path, node, str(node["_target_"]), option, filled)
    for key in map(str, node):
        child = None if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key) else node[key]
        if isinstance(child, DictConfig):
            yield from _components(f"{path}.{key}", child, option)


def _check(component: Component, presets: Mapping[str, Any]) -> None:
    path = component.path
    accepted = signature(component.target)
    if accepted is None:
        try:
            check_exists(component.target)
        except InputError as error:
            raise InputError(f"{path}._target_={error}") from None
        return
    for key in component.keys:
        if key in component.filled:
            raise InputError(f"{path}.{key} is no setting: a run fills it in by itself")
    if wrong := component.wrong(accepted):
        names = [name for name in accepted.names if name not in component.filled]
        raise InputError(
            f"{path}.{wrong[0]}: {component} has no such option{nearest(wrong[0], names)} "
            f"(it takes: {', '.join(names) or 'none'}){_set_by(presets, path, wrong)}"
        )
    if missing := component.missing(accepted):
        raise InputError(f"{path}: {component} needs {', '.join(missing)}; give {path}.{missing[0]}=…")
    for key, value in component.misfits(accepted):
        annotation = accepted.arguments[key]
        hint = "; an object is described by its _target_" if isinstance(value, dict) else ""
        hint = hint or nearest(str(value), annotation.choices)
        raise InputError(f"{path}.{key}: {component} expects {annotation}, got {value!r}{hint}")


def _set_by(presets: Mapping[str, Any], path: str, wrong: list[str]) -> str:
    """Say which preset set keys that another option would have taken, and how to do without."""
    for preset, content in presets.items():
        for part in path.split("."):
            content = content.get(part) or {}
        if set(wrong) & set(content):
            without = " ".join(f"~{path}.{key}" for key in content)
            return f". {preset} sets it for another option; do without by adding {without}"
    return ""


def _written(node: DictConfig, key: str) -> Any:
    """Return a value as it is written, interpolations in place."""
    content = OmegaConf.to_container(node, resolve=False)
    assert isinstance(content, dict)
    return content[key]
