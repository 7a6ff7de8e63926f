"""Overrides in, one complete and checked configuration out, without importing torch."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

from fiducial.config.agreement import check_agreement, check_full_batch, check_objectives, num_outputs
from fiducial.config.component import check_components
from fiducial.config.contract import check_fit
from fiducial.config.defaults import implied, without
from fiducial.config.limits import check_values
from fiducial.config.location import ROOT, Groups, conf_dir
from fiducial.config.overrides import ROOTS, assigned, prepare, quoted, split
from fiducial.config.scalars import described, settings
from fiducial.config.schema import GROUPS, PRESETS, SWEEP_GROUPS, RunConfig
from fiducial.config.wrapped import WRAPPED, tell
from fiducial.errors import InputError, nearest

# What may differ between two runs that must give the same result.
WITHOUT_EFFECT = ("name", "study", "resume", "tracking")
PLACES = ("outputs", "data_dir", "cache_dir")


@dataclass(frozen=True)
class Composed:
    """One configuration, ready to run.

    Attributes:
        cfg: every value, interpolations still in place.
        choices: the option picked in each group.
        overrides: what was given on the command line about the run itself.
        sweep: how several runs would be started: the groups `launcher` and `search`.
        sweep_choices: the options picked in these.
        implied: keys that were given and say what their class does anyway.
        tables: hashes of the text files that list the cases and their splits.
    """

    cfg: DictConfig
    choices: dict[str, str]
    overrides: tuple[str, ...]
    sweep: DictConfig
    sweep_choices: dict[str, str]
    implied: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def resolved(self) -> dict[str, Any]:
        """Return the configuration as plain containers, interpolations replaced by their values."""
        return described(self.cfg)

    def settings(self) -> dict[str, Any]:
        """Return the scalar settings by dotted key."""
        return settings(self.cfg)

    def of_study(self, study: str) -> Composed:
        """Return the same configuration, told on the command line which study it belongs to."""
        cfg = self.cfg.copy()
        cfg.study = study
        return replace(self, cfg=cfg, overrides=(*self.overrides, assigned("study", study)))

    def identity(self) -> str:
        """Return the hash of all settings, and of the content of tables of cases, that can change a result.

        The same data may lie elsewhere, and a value may be given or be the default of its class.
        """
        cfg = self.cfg.copy()
        for key in PLACES:
            cfg[key] = f"<{key}>"
        relevant = {key: value for key, value in described(cfg).items() if key not in WITHOUT_EFFECT}
        if self.tables:
            relevant["tables"] = list(self.tables)
        return hashlib.sha256(json.dumps(without(relevant, self.implied), sort_keys=True).encode()).hexdigest()


def compose(
    overrides: Sequence[str], config_dir: str | None = None, *, look_only: bool = False, trained: bool = False
) -> Composed:
    """Return the configuration that `overrides` ask for.

    Args:
        overrides: as on the command line.
        config_dir: a folder of config groups of the user's own.
        look_only: that nothing is learned: cases may lack their labels, and no network need suit them.
        trained: that the run is trained, perhaps on other data: what only training looks at is left as it was.

    Raises:
        InputError: a group, option or key is unknown, a value has the wrong type, or options do not fit.
    """
    groups, overrides = Groups.find(config_dir), [quoted(line) for line in overrides]
    with translated_errors(), hydra_session(groups) as hydra:
        cfg, picked = _put_together(hydra, prepare(overrides, groups))
    return _complete(cfg, picked, overrides, groups, look_only=look_only, trained=trained)


def compose_all(jobs: Iterable[Sequence[str]], config_dir: str | None = None) -> list[Composed]:
    """Return the configurations of many runs; what those that pick the same options have in common is made once.

    Raises:
        InputError: the first of them that `compose` would refuse.
    """
    groups = Groups.find(config_dir)
    known: dict[tuple[str, ...], tuple[DictConfig, dict[str, Any]]] = {}
    composed = []
    with hydra_session(groups) as hydra:
        for job in jobs:
            overrides = [quoted(line) for line in job]
            with translated_errors():
                options, values = split(prepare(overrides, groups))
                if options not in known:
                    known[options] = _put_together(hydra, options)
                cfg, picked = copy.deepcopy(known[options])
                ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
            composed.append(_complete(cfg, picked, overrides, groups))
    return composed


def _put_together(hydra: Hydra, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    """Return what Hydra makes of overrides, and the option picked in each group."""
    cfg = hydra.compose_config(
        config_name=ROOT,
        overrides=list(overrides),
        run_mode=RunMode.RUN,
        from_shell=True,
        with_log_configuration=False,
    )
    picked = described(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, picked


def _complete(
    cfg: DictConfig,
    picked: Mapping[str, Any],
    overrides: Sequence[str],
    groups: Groups,
    *,
    look_only: bool = False,
    trained: bool = False,
) -> Composed:
    """Fill in what follows from other values, and check the whole."""
    choices = {group: str(picked[group]) for group in GROUPS if picked.get(group) not in (None, "null")}
    inner = {WRAPPED: str(picked[f"model@{WRAPPED}"])} if f"model@{WRAPPED}" in picked else {}
    cfg = OmegaConf.masked_copy(cfg, [str(key) for key in cfg])  # without the types, which take nothing new
    OmegaConf.set_struct(cfg, False)
    with translated_errors():
        tell(cfg)
        check_components(cfg, choices, groups)
        source = _source(cfg, choices, look_only=look_only)
        cfg.data.spec = source.spec.as_config()
        cfg.name = cfg.name or "-".join(filter(None, (choices["data"], source.part, choices["model"])))
        cfg.study = cfg.study or choices.get("experiment") or choices["data"]
        cfg.outputs = str(Path(cfg.outputs).expanduser().resolve())
        check_fit(cfg, {**choices, **inner}, groups)
        found = settings(cfg)
        check_values(cfg, found)
        _check_run(cfg)
        if not look_only:
            check_agreement(cfg, found)
        if not look_only and not trained:
            check_objectives(cfg, found)
            if OmegaConf.select(cfg, "optimizer.contract.full_batch"):
                check_full_batch(cfg, _giver("data.batch_size", overrides, choices, groups))
        sweep = OmegaConf.masked_copy(cfg, list(SWEEP_GROUPS))
        cfg = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in SWEEP_GROUPS])
        sweep_choices = {group: choices.pop(group) for group in SWEEP_GROUPS if group in choices}
        own = tuple(line for line in overrides if not _of_sweep(line))
        composed = Composed(cfg, choices, own, sweep, sweep_choices)
        composed = replace(
            composed,
            implied=_implied(composed, {**choices, **inner}, groups),
            tables=table_hashes(source, cfg),
        )
        _check_private(source, composed)
    return composed


def _giver(key: str, overrides: Sequence[str], choices: Mapping[str, str], groups: Groups) -> str:
    """Return what gives a key of a group beside the group's own option: the command line or a preset, else nothing."""
    if any(line.lstrip("+").partition("=")[0] == key for line in overrides):
        return "the command line"
    group, _, name = key.partition(".")
    presets = (f"{preset}={choices[preset]}" for preset in PRESETS if preset in choices)
    return next((one for one in presets if name in groups.content(*one.split("=")).get(group, {})), "")


def _implied(composed: Composed, choices: Mapping[str, str], groups: Groups) -> tuple[str, ...]:
    """Return the keys that were given, and say what their class does anyway."""
    given = [line.lstrip("+~").partition("=")[0] for line in composed.overrides]
    content = groups.picked({group: option for group, option in choices.items() if group in _heads(given)})
    return tuple(implied(composed.resolved(), given, content))


def _heads(keys: Iterable[str]) -> set[str]:
    """Return the groups that could have set some keys: presets set those of others."""
    return {*(key.partition(".")[0] for key in keys if "." in key), *PRESETS, WRAPPED}


def _of_sweep(line: str) -> bool:
    return line.lstrip("+~").partition("=")[0].partition(".")[0] in SWEEP_GROUPS


def _source(cfg: DictConfig, choices: Mapping[str, str], *, look_only: bool) -> Any:
    """Return where cases come from; it tells what images and labels are like without reading them."""
    from fiducial.config.construction import component

    if "source" not in cfg.data:
        raise InputError(f"data={choices['data']}: expected a source with a _target_ at data.source; got none")
    source = component(cfg.data.source)
    if not hasattr(source, "look_only"):
        raise InputError(f"data.source: expected a subclass of fiducial.data.source.Source, got {_named(source)}")
    if look_only:
        source.look_only()
    if not hasattr(source.spec, "as_config"):
        spec = type(source.spec).__name__
        raise InputError(f"{_named(source)}.spec: expected a fiducial.data.source.Spec as a property, got {spec}")
    return source


def table_hashes(source: Any, cfg: DictConfig) -> tuple[str, ...]:
    """Return the hashes of the text files that list a source's cases, and of the one that says their splits."""
    return tuple(map(_hash_of, [*source.tables, *filter(None, [cfg.data.get("splits")])]))


def _hash_of(file: Path | str) -> str:
    """Return the hash of a file's content; nothing where it is not there, which whoever reads it says.

    Sweeps ask for one file a thousand times: the answer is kept while time and size of the file are the same.
    """
    try:
        known = os.stat(file)
        return _hash_as_of(str(file), known.st_mtime_ns, known.st_size)
    except OSError:
        return ""


@lru_cache
def _hash_as_of(file: str, time: int, size: int) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _named(source: Any) -> str:
    return f"{type(source).__module__}.{type(source).__name__}"


def _check_private(source: Any, composed: Composed) -> None:
    """Refuse to log what the files say of a person, before a run exists that it could be logged to."""
    cfg = composed.cfg
    if "identifiers" in (cfg.data.get("allow") or ()):
        return
    texts = {key: str(cfg[key]) for key in ("name", "study", *PLACES)}
    about_data = ((key, value) for key, value in composed.settings().items() if key.startswith("data."))
    texts |= {key: value for key, value in about_data if isinstance(value, str) and not key.endswith("_target_")}
    source.check_private(texts | {"a name of a class": ", ".join(cfg.data.spec.classes)})


def _check_run(cfg: DictConfig) -> None:
    if cfg.select not in ("best", "last"):
        raise InputError(f"select must be best or last; got {cfg.select}{nearest(cfg.select, ['best', 'last'])}")
    if cfg.epochs < 1:
        raise InputError(f"epochs must be at least 1; got {cfg.epochs}")
    if cfg.patience is not None and cfg.patience < 1:
        raise InputError(f"patience must be at least 1 epoch, or null for none; got {cfg.patience}")
    if cfg.name in (".", "..") or Path(cfg.name).name != cfg.name:
        raise InputError(f"name must be the name of one folder; got {cfg.name!r}")


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
        "num_outputs": num_outputs,
        "fraction": lambda part, whole: math.ceil(part * whole),
        "smallest": lambda numbers: min(map(int, numbers)),
        "product": _product,
        "halvings": lambda levels: 2 ** (len(levels) - 1),
        "patch_size": _patch_size,
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def _product(factors: Sequence[Any]) -> int:
    """Return the product of numbers; of one that differs between axes, the greatest counts."""
    return math.prod(max(map(int, each)) if isinstance(each, Sequence) else int(each) for each in factors)


def _patch_size(size: Sequence[int], multiple: int, most: int, axes: str, prepare: Any) -> list[int]:
    """Return patches that hold a prepared case, rounded up to a multiple, and no larger than `most` along any axis.

    Args:
        size: of the first case as its file has it.
        multiple: of each extent.
        most: of each extent.
        axes: where those of the file lead, such as LPS; empty where nobody knows.
        prepare: what turns them, see `data.prepare`; None leaves them.
    """
    wanted = prepare.get("orientation", "RAS") if prepare else None
    if axes and wanted:
        pairs = {letter: pair for pair in ("LR", "PA", "IS") for letter in pair}
        found, asked = ([pairs.get(letter, "") for letter in letters] for letters in (axes, str(wanted)))
        size = [size[found.index(pair)] for pair in asked] if sorted(asked) == sorted(found) else size
    return [min(most, -(-int(extent) // multiple) * multiple) for extent in size]


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into one message for the user."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        where = re.match(r"In '(\w+/\w+)'", str(error))  # the option's file, where one is at fault
        message = _message(_cause(error))
        raise InputError(f"{where[1]}.yaml: {message}" if where else message) from error


def _cause(error: BaseException) -> BaseException:
    """Return the error that says most: Hydra wraps those of OmegaConf and its own."""
    while isinstance(error, HydraException) and not isinstance(error, MissingConfigException):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error


def _message(error: BaseException) -> str:
    key = str(getattr(error, "full_key", None) or "")
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, ConfigKeyError):
        return f"there is no group or key {key!r}{nearest(key, ROOTS)}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}={option}: there is no such option{nearest(option, error.options)}"
    if isinstance(error, ValidationError) and key in RunConfig.__dataclass_fields__:
        kind = str(RunConfig.__dataclass_fields__[key].type).replace(" | None", " or null")
        return f"{key}: expected {kind}, got {error.value!r}"
    if f"'model@{WRAPPED}'" in text:
        return f"{WRAPPED}: only a model that wraps another network takes one: late_fusion, image_table"
    return f"{key}: {text}" if key and key not in text else text
