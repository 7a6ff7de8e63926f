"""The group `search` as a Hydra sweeper, which Hydra itself knows by `hydra/sweeper=fiducial`. No torch, no Optuna."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fiducial.config import SWEEP_GROUPS, Composed, Groups, compose, settings
from fiducial.config.composition import PLACES, WITHOUT_EFFECT
from fiducial.config.construction import component
from fiducial.config.overrides import prepare
from fiducial.config.scalars import described
from fiducial.errors import InputError
from fiducial.sweeps.job import Ending, RunError, Spec, told
from fiducial.sweeps.launcher import own_folder
from fiducial.sweeps.search.grammar import first_values, split
from fiducial.sweeps.search.results import COSTS, check_objectives, direction
from fiducial.sweeps.search.samplers import GRID, PRUNERS, SAMPLERS, check_sampler, node
from fiducial.sweeps.search.search import TICK_SECONDS, Search
from fiducial.sweeps.search.space import Choice, Space
from fiducial.sweeps.search.storage import storage_url
from fiducial.sweeps.search.study import Question
from fiducial.wording import counted

NUM_TRIALS = 50


class OptunaSweeper(Sweeper):
    """Let Optuna propose the settings of each run, from what came of the runs before.

    Args:
        sampler: what proposes them: "tpe", "random", "cmaes", "gp", "nsga2", "qmc", "grid", or any of Optuna's by its
            `_target_`, with its arguments.
        trials: in all, those of earlier commands included; by default 50, or the whole grid.
        pruner: what ends runs that are not worth going on with: "median", "hyperband", "halving", or any of Optuna's
            by its `_target_`; by default every run goes to its end.
        space: what may be searched, by setting, in the grammar of the command line, which wins over it.
        objectives: metrics of the validation split, or "parameters"; by default the run's objective.
        storage: URL of the database; by default a SQLite file in the outputs folder.
        study: name of the study in the database; by default it follows from all that decides the results.
        seed: of what is drawn; by default the run's seed.
        batch: runs that are proposed together where Hydra itself runs the search (`hydra/sweeper=fiducial`), whose
            launchers take no other; `fiducial train -m` proposes each when there is room for it.

    Raises:
        InputError: an option makes no sense.
    """

    def __init__(
        self,
        *,
        sampler: str | Mapping[str, Any] = "tpe",
        trials: int | None = None,
        pruner: str | Mapping[str, Any] | None = None,
        space: Mapping[str, Any] | None = None,
        objectives: list[str] | None = None,
        storage: str | None = None,
        study: str | None = None,
        seed: int | None = None,
        batch: int = 4,
    ) -> None:
        for name, number in (("trials", trials), ("batch", batch)):
            if number is not None and number < 1:
                raise InputError(f"search.{name}: expected at least 1, got {number}")
        described = node("sampler", sampler, SAMPLERS)
        if described is None:
            raise InputError(f"search.sampler: expected one of {', '.join(SAMPLERS)}; got none")
        self._sampler, self._pruner = described, node("pruner", pruner, PRUNERS)
        if objectives is not None:
            check_objectives(objectives)
        if self._pruner and objectives and objectives[0] in COSTS:
            raise InputError(
                f"search.pruner={pruner}: {objectives[0]} is the same after every epoch, so no run is worse before its "
                "end; leave it out, or give a validation metric"
            )
        if self._pruner and objectives and len(objectives) > 1:
            raise InputError(
                f"search.pruner={pruner}: with several objectives no run is known to be worse before its end; "
                "leave it out"
            )
        self._trials, self._space, self._objectives = trials, space or {}, objectives
        self._storage, self._study, self._seed, self._batch = storage, study, seed, batch
        self._config_dir: str | None = None
        self.launcher: Any = None

    def setup(self, *, hydra_context: HydraContext | None, task_function: TaskFunction, config: DictConfig) -> None:
        """Build the launcher that Hydra's configuration names."""
        from hydra.core.plugins import Plugins

        assert hydra_context is not None, "Hydra sets its sweepers up"
        self._config_dir = own_folder(config.hydra)
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[Ending]:
        """Run a search that Hydra itself asks for to its end, batch by batch; return how each run ended.

        Raises:
            IncompleteError: some runs are not done.
            InputError: there is a pruner, whose questions no launcher of Hydra's passes on.
        """
        from fiducial.sweeps.sweep import IncompleteError

        if self._pruner:
            raise InputError(
                "search.pruner: Hydra's launchers end no run early; leave it out, or use fiducial train -m"
            )
        search, groups = self.search(arguments, self._config_dir), Groups.find(self._config_dir)
        endings: list[Ending] = []
        try:
            for batch in _batches(search.specs(), self._batch):
                lines = [prepare(spec.overrides, groups) for spec in batch]
                returned = self.launcher.launch(lines, initial_job_idx=len(endings))
                known = [replace(_ending(one), number=spec.number) for spec, one in zip(batch, returned, strict=True)]
                endings += map(search.ended, known)
            search.settle()
        finally:
            search.close()
        if left := sum(ending.state != "done" for ending in endings):
            raise IncompleteError(f"{left} of {counted(len(endings), 'run')} are not done; the same command goes on")
        return endings

    def search(self, arguments: Sequence[str], config_dir: str | None) -> Search:
        """Return the search that a command line asks for; everything about it is checked.

        Args:
            arguments: overrides, ranges among them.
            config_dir: folder of config groups of the user's own.

        Raises:
            InputError: the space holds what cannot be run, or does not fit the sampler.
        """
        lines, space = split(arguments, Groups.find(config_dir), self._space)
        if not space.dimensions:
            raise InputError(
                "there is nothing to search: give ranges, such as optimizer.lr='tag(log, interval(1e-5,1e-1))' or "
                "model.dropout=0,0.2,0.5, or keep them with the experiment in search.space"
            )
        check_sampler(self._sampler, space, len(self._objectives or [""]))
        common = tuple(line for line in lines if not _of_sweep(line))
        space.check(common, config_dir)
        start = compose([*lines, *(f"{key}={value}" for key, value in next(space.samples()).items())], config_dir)
        return Search(self._question(start, space), common, config_dir, start)

    def _question(self, start: Composed, space: Space) -> Question:
        objectives = tuple(self._objectives or [start.cfg.objective])
        outputs = Path(start.cfg.outputs)
        question = Question(
            name="",
            storage=storage_url(self._storage, outputs),
            outputs=outputs,
            space=space,
            sampler=self._sampler,
            pruner=self._pruner,
            objectives=objectives,
            directions=tuple(map(direction, objectives)),
            settings=_common(start, space),
            seed=start.cfg.seed if self._seed is None else self._seed,
            epochs=_epochs(start, space),
            total=self._total(space),
        )
        digest = hashlib.sha256(json.dumps(question.record, sort_keys=True).encode()).hexdigest()
        return replace(question, name=self._study or f"{start.cfg.study}-{digest[:8]}")

    def _total(self, space: Space) -> int:
        if self._sampler["_target_"] != GRID:
            return self._trials or NUM_TRIALS
        size = len(space.grid())
        return min(self._trials or size, size)


def find(arguments: Sequence[str], config_dir: str | None = None) -> Search | None:
    """Return the search that a command line asks for, or None if it asks for none.

    Raises:
        InputError: something about it makes no sense.
    """
    start = compose(first_values(arguments, Groups.find(config_dir)), config_dir)
    if "_target_" not in start.sweep.search:
        return None
    sweeper = component({**described(start.sweep.search), "_recursive_": False})
    found: Search = sweeper.search(arguments, config_dir)
    return found


def _ending(returned: JobReturn) -> Ending:
    """Return how the run of a job of Hydra's ended."""
    try:
        ending = returned.return_value
    except RunError as error:
        return error.ending
    except Exception as error:
        return Ending(0, "failed", message=told(error))
    if not isinstance(ending, Ending):
        raise InputError(
            "hydra/sweeper=fiducial: expected an app whose function returns how a run ended, such as "
            f"fiducial.sweeps.app.job, got one that returns {type(ending).__name__}"
        )
    return ending


def _batches(specs: Iterator[Spec | None], size: int) -> Iterator[list[Spec]]:
    batch: list[Spec] = []
    for spec in specs:
        if spec is not None:
            batch.append(spec)
        elif not batch:
            time.sleep(TICK_SECONDS)
        if batch and (spec is None or len(batch) == size):
            yield batch
            batch = []
    if batch:
        yield batch


def _of_sweep(line: str) -> bool:
    return line.lstrip("+~").split("=")[0].split(".")[0] in SWEEP_GROUPS


def _epochs(start: Composed, space: Space) -> int:
    """Return the epochs of the longest run."""
    searched = [one for one in space.dimensions if one.key == "epochs"]
    most = [max(map(int, one.values)) if isinstance(one, Choice) else int(one.high) for one in searched]
    return max([int(start.cfg.epochs), *most])


def _common(start: Composed, space: Space) -> dict[str, Any]:
    """Return what all runs have in common and what changes results: settings, and the content of tables."""
    cfg = start.cfg.copy()
    for place in PLACES:
        cfg[place] = f"<{place}>"
    tables = {"tables": list(start.tables)} if start.tables else {}

    def matters(key: str) -> bool:
        searched = any(key == one or key.startswith(f"{one}.") for one in space.keys)
        return not searched and key.partition(".")[0] not in (*WITHOUT_EFFECT, *PLACES, "hardware")

    return {key: value for key, value in settings(cfg).items() if matters(key)} | tables
