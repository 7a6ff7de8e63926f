"""Overrides in, one complete and checked configuration out, without importing torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fiducial.config.contract import check_arguments, check_fit
from fiducial.config.location import Groups, conf_dir
from fiducial.config.schema import GROUPS, RunConfig
from fiducial.config.signature import signature
from fiducial.errors import InputError, nearest

# What may differ between two runs that must give the same result.
WITHOUT_EFFECT = ("name", "study", "resume", "outputs", "data_dir", "cache_dir", "tracking")


@dataclass(frozen=True)
class Composed:
    """One configuration, ready to run.

    Attributes:
        cfg: every value, interpolations still in place.
        choices: the option picked in each group.
        overrides: what was given on the command line.
    """

    cfg: DictConfig
    choices: dict[str, str]
    overrides: tuple[str, ...]

    def resolved(self) -> dict[str, Any]:
        """Return the configuration as plain containers, interpolations replaced by their values."""
        content = OmegaConf.to_container(self.cfg, resolve=True)
        assert isinstance(content, dict)
        return {str(key): value for key, value in content.items()}


def identity(resolved: dict[str, Any]) -> str:
    """Return the hash of all settings that can change a result."""
    relevant = {key: value for key, value in resolved.items() if key not in WITHOUT_EFFECT}
    return hashlib.sha256(json.dumps(_without_places(relevant), sort_keys=True).encode()).hexdigest()


def _without_places(value: Any) -> Any:
    """Drop the folders that components were told to read from or write to."""
    if isinstance(value, dict):
        return {key: _without_places(v) for key, v in value.items() if key not in ("folder", "cache")}
    return value


def compose(overrides: Sequence[str], config_dir: str | None = None) -> Composed:
    """Return the configuration that `overrides` ask for.

    Raises:
        InputError: a group, option or key is unknown, a value has the wrong type, or options do not fit.
    """
    groups = Groups.find(config_dir)
    with translated_errors(), hydra_session(groups) as hydra:
        cfg = hydra.compose_config(
            config_name="config",
            overrides=prepare(overrides, groups),
            run_mode=RunMode.RUN,
            from_shell=True,
            with_log_configuration=False,
        )
    return complete(cfg, overrides, groups)


def complete(cfg: DictConfig, overrides: Sequence[str], groups: Groups) -> Composed:
    """Fill in what follows from other values, and check the whole."""
    picked = cfg.hydra.runtime.choices
    choices = {group: str(picked[group]) for group in GROUPS if picked.get(group) not in (None, "null")}
    cfg = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    OmegaConf.set_struct(cfg, False)
    with translated_errors():
        check_arguments(cfg, choices)
        _check_trainer(cfg)
        if cfg.data is not None and "spec" not in cfg.data:
            cfg.data.spec = _describe(cfg)
        cfg.name = cfg.name or f"{choices['data']}-{choices['model']}"
        cfg.study = cfg.study or choices.get("experiment") or choices["data"]
        cfg.outputs = str(Path(cfg.outputs).expanduser().resolve())
        check_fit(cfg, choices, groups)
        _check_run(cfg)
        composed = Composed(cfg, choices, tuple(overrides))
        composed.resolved()
    return composed


def _describe(cfg: DictConfig) -> dict[str, Any]:
    from hydra.utils import instantiate

    try:
        specification: dict[str, Any] = instantiate(cfg.data.source).spec.as_config()
    except HydraException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise InputError(f"data.source: {error.__cause__ or error}") from error
    return specification


def _check_run(cfg: DictConfig) -> None:
    if cfg.select not in ("best", "last"):
        raise InputError(f"select must be best or last; got {cfg.select}{nearest(cfg.select, ['best', 'last'])}")
    if cfg.epochs < 1:
        raise InputError(f"epochs must be at least 1; got {cfg.epochs}")
    if cfg.patience is not None and cfg.patience < 1:
        raise InputError(f"patience must be at least 1 epoch, or empty for none; got {cfg.patience}")


def _check_trainer(cfg: DictConfig) -> None:
    accepted = signature("pytorch_lightning.trainer.trainer.Trainer")
    for key in cfg.trainer:
        if accepted and str(key) not in accepted.names:
            raise InputError(
                f"trainer.{key}: pytorch_lightning.Trainer has no such argument"
                f"{nearest(str(key), accepted.names)}"
            )


@contextmanager
def hydra_session(groups: Groups) -> Iterator[Hydra]:
    """Open Hydra over the groups' folders, the user's own first."""
    register()
    path = create_config_search_path(str(conf_dir()))
    for folder in groups.folders[:-1]:
        path.prepend(provider="command-line", path=f"file://{folder}")
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2(task_name="fiducial", config_search_path=path)
    finally:
        GlobalHydra.instance().clear()


def register() -> None:
    """Register the root dataclass, and the resolvers that option files may use."""
    ConfigStore.instance().store(name="run_config", node=RunConfig)
    resolvers: dict[str, Callable[..., Any]] = {
        "num_outputs": _num_outputs,
        "fraction": lambda part, whole: int(part * whole),
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def _num_outputs(head: str, target: str, num_classes: int) -> int:
    """Return how many values a network gives: one per class, level or label; a sigmoid alone for binary."""
    if head == "ordinal":
        return num_classes - 1
    return 1 if head == "sigmoid" and target == "binary" else num_classes


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into one message for the user."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        key = getattr(cause, "full_key", None)
        text = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise InputError(f"{key}: {text}" if key and key not in text else text) from error


def prepare(overrides: Sequence[str], groups: Groups) -> list[str]:
    """Check the keys of overrides, and let those inside a component set any argument of its class.

    Raises:
        InputError: naming the nearest group, option or key.
    """
    return [_prepare(override, groups) for override in OverridesParser.create().parse_overrides(list(overrides))]


def _prepare(override: Override, groups: Groups) -> str:
    line = str(override.input_line)
    key = override.key_or_group
    head, dot, _ = key.partition(".")
    if head == "hydra" or key.startswith("hydra/"):
        return line
    roots = [*RunConfig.__dataclass_fields__, "experiment", "debug"]
    if head not in roots:
        raise InputError(
            f"{line}: there is no group or key {head!r}{nearest(head, roots)} (groups: {', '.join(GROUPS)}; "
            f"keys: {', '.join(name for name in roots if name not in GROUPS)})"
        )
    if head in GROUPS and not dot:
        _check_options(override, groups)
        return line
    inside = dot and (head in GROUPS or head == "trainer")
    return f"++{line}" if inside and override.type is OverrideType.CHANGE else line


def _check_options(override: Override, groups: Groups) -> None:
    group = override.key_or_group
    options = groups.options(group)
    for option in _values(override):
        if option not in [*options, "null"]:
            raise InputError(
                f"{group}={option}: there is no such option{nearest(option, options)} "
                f"(options of {group}: {', '.join(options)})"
            )


def _values(override: Override) -> list[str]:
    if override.is_delete():
        return []
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_iterator()]
    value = override.value()
    return [str(item) for item in value] if isinstance(value, list) else ["null" if value is None else str(value)]
