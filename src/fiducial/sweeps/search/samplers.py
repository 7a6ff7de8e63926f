"""What proposes settings, and what ends runs that are not worth going on with: Optuna's own, picked by name."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError, nearest
from fiducial.sweeps.search.space import Choice, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

Node = Mapping[str, Any]

GRID = "grid"
SAMPLERS = {
    "tpe": "optuna.samplers.TPESampler",
    "random": "optuna.samplers.RandomSampler",
    "cmaes": "optuna.samplers.CmaEsSampler",
    "gp": "optuna.samplers.GPSampler",
    "nsga2": "optuna.samplers.NSGAIISampler",
    "qmc": "optuna.samplers.QMCSampler",
    GRID: GRID,
}
PRUNERS = {
    "median": "optuna.pruners.MedianPruner",
    "hyperband": "optuna.pruners.HyperbandPruner",
    "halving": "optuna.pruners.SuccessiveHalvingPruner",
}
CMAES = SAMPLERS["cmaes"]
EXHAUSTIVE = ("BruteForceSampler", "GridSampler")  # they end Optuna's own loop, which is not in use here


def node(name: str, value: str | Node | None, known: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what is to be built as `_target_` and arguments; None for nothing.

    Args:
        name: of the setting.
        value: one of the known names, or a node of that kind.
        known: dotted names by name.

    Raises:
        InputError: the name is unknown.
    """
    if value is None or value == "none":
        return None
    if isinstance(value, str):
        if value not in known:
            raise InputError(
                f"search.{name}={value}: there is none of that name{nearest(value, known)} "
                f"(available: {', '.join(known)}, or a _target_ of Optuna's)"
            )
        return {"_target_": known[value]}
    if str(value.get("_target_")).rpartition(".")[2] in EXHAUSTIVE:
        raise InputError(f"search.{name}._target_={value['_target_']} goes through a grid; search=grid does that")
    if "_target_" not in value:
        raise InputError(
            f"search.{name}: expected one of {', '.join(known)}, or search.{name}._target_=… of Optuna's with its "
            f"arguments; got {dict(value)}"
        )
    return dict(value)


def sampler_name(sampler: Node) -> str:
    """Return the short name of a sampler, or its class where it has none."""
    target = str(sampler["_target_"])
    return next((name for name, known in SAMPLERS.items() if known == target), target.rpartition(".")[2])


def check_sampler(sampler: Node, space: Space, num_objectives: int) -> None:
    """Refuse a sampler that cannot search a space.

    Raises:
        InputError: with what would do.
    """
    if "seed" in sampler:
        raise InputError("search.sampler.seed: the draws follow from search.seed; give that")
    numbers = [one for one in space.dimensions if not isinstance(one, Choice)]
    if sampler["_target_"] == CMAES:
        if len(numbers) < 2:
            raise InputError(
                f"search=cmaes adapts to how numbers act together and needs two intervals or ranges; "
                f"got {len(numbers)} ({', '.join(f'{k}={v}' for k, v in space.described().items())}). search=tpe fits"
            )
        if num_objectives > 1:
            raise InputError("search=cmaes has one objective; for several, search=nsga2, search=tpe or search=gp fit")


def build_sampler(sampler: Node, seed: int, number: int) -> BaseSampler:
    """Return the sampler of one trial: what it draws follows from the seed, the trial's number and earlier trials.

    A search that was killed then goes on as one that was not.
    """
    from optuna.samplers import RandomSampler

    if sampler["_target_"] == GRID:
        return RandomSampler()  # a grid's values are given, none is drawn
    fixed: dict[str, Any] = {"seed": random.Random(f"{seed}/{number}").getrandbits(31)}
    if sampler["_target_"] == SAMPLERS["qmc"]:
        fixed["seed"] = seed  # its sequence is one for all trials
    if sampler["_target_"] in (CMAES, SAMPLERS["gp"], SAMPLERS["qmc"]):
        fixed["warn_independent_sampling"] = False  # choices among numbers are expected
    built: BaseSampler = _built("sampler", {**fixed, **sampler})
    return built


def build_pruner(pruner: Node | None, epochs: int) -> BasePruner:
    """Return what decides whether a run goes on; without one, all of them do.

    Args:
        pruner: of the search.
        epochs: of a run that goes to its end.
    """
    from optuna.pruners import NopPruner

    if pruner is None:
        return NopPruner()
    longest = {"max_resource": epochs} if pruner["_target_"] == PRUNERS["hyperband"] else {}
    built: BasePruner = _built("pruner", {**longest, **pruner})
    return built


def _built(name: str, described: Node) -> Any:
    from hydra.utils import instantiate
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # whoever picks one by name wants it
        try:
            return instantiate(dict(described))
        except Exception as error:
            raise InputError(
                f"search.{name}: {described['_target_']} could not be built: {error.__cause__ or error}"
            ) from error


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return a space as Optuna has it; a choice's values are the texts of its overrides."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for one in space.dimensions:
        if isinstance(one, Choice):
            found[one.key] = CategoricalDistribution(one.values)
        elif one.whole:
            found[one.key] = IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
        else:
            found[one.key] = FloatDistribution(one.low, one.high, log=one.log, step=one.step)
    return found


def texts(space: Space, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a trial as they are written in overrides."""
    return {
        one.key: str(params[one.key]) if isinstance(one, Choice) else one.text(params[one.key])
        for one in space.dimensions
    }
