"""A search: which run is next, what came of the last one, and what was learned."""

from __future__ import annotations

import json
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from fiducial.config.overrides import assigned
from fiducial.config.scalars import targets
from fiducial.redaction import redact_override, redact_text
from fiducial.runs import folder
from fiducial.sweeps import axes
from fiducial.sweeps.job import Ending, Pruning, Spec
from fiducial.sweeps.search.outage import PATIENCE_SECONDS, Outage
from fiducial.sweeps.search.results import values_of
from fiducial.sweeps.search.samplers import sampler_name
from fiducial.sweeps.search.storage import AwayError, answering
from fiducial.sweeps.search.study import MESSAGE, OUT, Question, Trials
from fiducial.wording import brief, counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial, Trial

    from fiducial.config import Composed


UNINFORMED = ("random", "qmc", "grid")  # samplers that do not learn from trials
TICK_SECONDS = 0.5
MANY_AT_ONCE = 8  # half of so many at once is nothing to speak of, however few trials there are


class Search:
    """Proposes runs one by one, as many as there is room for; learns from how each of them ended.

    Args:
        question: what is searched, and how.
        overrides: what all runs have in common.
        config_dir: folder of config groups of the user's own.
        start: the configuration of one of the runs.

    Attributes:
        outputs: folder of all runs.
        out: the search's folder.
        study: experiment in the tracking UI that all runs belong to.
        config: configuration of one of the runs, together with how they are started.
    """

    def __init__(self, question: Question, overrides: tuple[str, ...], config_dir: str | None, start: Composed) -> None:
        self.question, self.study = question, str(start.cfg.study)
        self.outputs, self.out = question.outputs, folder.of_sweep(question.outputs, question.name)
        config = OmegaConf.merge(start.cfg, start.sweep)
        assert isinstance(config, DictConfig)
        self.config = config
        named = any(line.startswith("study=") for line in overrides)
        self._overrides = overrides if named else (*overrides, assigned("study", self.study))
        self._config_dir = config_dir
        self._opened: Trials | None = None
        self._running: dict[str, int] = {}  # number of the trial that has these settings in hand
        self._twins: dict[int, list[int]] = {}  # trials that wait for what comes of the one with the same settings
        self._begun: set[int] = set()  # numbers of all trials that this process has had in hand
        self._outage = Outage()
        self._untold: deque[Callable[[], None]] = deque()  # what the database is to be told once it answers

    @property
    def trials(self) -> Trials:
        """All trials; the database is opened, or made, when they are asked for."""
        if self._opened is None:
            self._opened = Trials(self.question)
        return self._opened

    @property
    def keys(self) -> list[str]:
        """The settings that are searched."""
        return self.question.space.keys

    @property
    def name(self) -> str:
        """What the search is called in the tracking UI: `tpe: lr, dropout`."""
        names = axes.short(self.keys)
        return f"{sampler_name(self.question.sampler)}: {', '.join(names[key] for key in self.keys)}"

    @property
    def objectives(self) -> tuple[str, ...]:
        """What judges the runs: what is searched for."""
        return self.question.objectives

    def __len__(self) -> int:
        """Return how many trials are still to be run, those that failed among them."""
        from optuna.trial import TrialState

        over = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in self.trials)
        return max(0, self.question.total - over)

    def targets(self) -> list[str]:
        """Return the dotted names of the classes that the runs are built from, and of what prunes them."""
        pruning = ["optuna.storages.RDBStorage"] if self.question.pruner else []
        return [*targets(self.config), *pruning]

    def remark(self, at_once: int) -> str:
        """Say that a sampler learns little of the trials that it proposes before others have ended."""
        name = sampler_name(self.question.sampler)
        if name in UNINFORMED or 2 * at_once <= max(self.question.total, MANY_AT_ONCE):
            return ""
        return (
            f"{at_once} of {self.question.total} trials are proposed before any has ended, and {name} learns of none; "
            f"launcher.at_once={max(1, self.question.total // 10)} lets it learn"
        )

    def titles(self) -> dict[int, str]:
        """Return nothing: what will be tried is not known beforehand."""
        return {}

    def params(self) -> dict[str, str]:
        """Return what the parent run shows as parameters: how is searched, and where."""
        content = self.question.record
        shown = {f"search.{key}": content[key] for key in ("sampler", "pruner", "objectives", "seed") if content[key]}
        described = {**shown, "search.trials": self.question.total, "search.study": self.question.name}
        return {**{key: str(value) for key, value in described.items()}, **self.question.space.described()}

    def content(self) -> dict[str, Any]:
        """Return what describes the search, to be kept as JSON."""
        return {
            "search": {**self.question.record, "trials": self.question.total},
            "storage": self.question.storage,
            "study": self.question.name,
            "overrides": [redact_override(line) for line in self._overrides],
        }

    def specs(self) -> Iterator[Spec | None]:
        """Yield a run for each trial: those that were left behind first, then new ones, up to the total.

        To be taken from when there is room for a run: each proposal learns from all that ended before it. There is none
        for now while the database does not answer.

        Raises:
            AwayError: the database stays away, and nothing runs any more.
        """
        left: list[FrozenTrial | Trial] | None = None
        failed = True  # are put up for another try, once
        while True:
            spec, is_last_try = None, self._outage.is_long and not self._running
            if self._outage.is_due or is_last_try:
                with self._outage.noted():
                    self._catch_up()
                    if left is None:
                        left = [*self.trials.take_over(self._begun, failed=failed)]
                        failed = False
                    trial = left.pop(0) if left else self.trials.ask()
                    if trial is None:
                        return
                    if (spec := self._spec(trial)) is None:
                        continue
                if self._outage.error:
                    if is_last_try:
                        raise self._stays_away()
                    left = None  # what it was asked for last may be in the database, and unknown here
            yield spec

    def ended(self, ending: Ending) -> Ending:
        """Learn how a run ended; one that was stopped, or is run elsewhere, is left for the next command.

        A run whose objective is not a finite number counts as failed.

        Raises:
            InputError: the run does not have the objectives that are searched for, nor will any other.
        """
        numbers = [ending.number, *self._twins.pop(ending.number, [])]
        self._running = {key: number for key, number in self._running.items() if number != ending.number}
        if ending.state in ("elsewhere", "stopped"):
            return ending
        notes = {OUT: self._relative(ending.out)} if ending.out else {}
        values = values_of(Path(ending.out), self.question.objectives) if ending.state == "done" else None
        if values and not all(map(math.isfinite, values)):
            found = ", ".join(f"{name} {value:g}" for name, value in zip(self.question.objectives, values, strict=True))
            ending = replace(ending, state="failed", message=f"a search needs finite objectives, got {found}")
            values = None
        if ending.message:
            notes[MESSAGE] = redact_text(ending.message)
        for number in numbers:
            self._untold.append(partial(self.trials.tell, number, values, pruned=ending.state == "pruned", **notes))
        if self._outage.is_due:
            with self._outage.noted():
                self._catch_up()
        return ending

    def settle(self) -> None:
        """Wait until the database knows how all runs ended.

        Raises:
            AwayError: it stays away.
        """
        while self._untold:
            is_last_try = self._outage.is_long
            if self._outage.is_due or is_last_try:
                with self._outage.noted():
                    self._catch_up()
                if self._outage.error and is_last_try:
                    raise self._stays_away()
            else:
                time.sleep(TICK_SECONDS)

    def elsewhere(self) -> int:
        """Return how many trials other living searches have in hand."""
        return self.trials.num_elsewhere()

    def finished(self) -> Iterator[tuple[str, str, Path]]:
        """Yield title, setting and folder of each trial that is complete; equal trials share a run."""
        from optuna.trial import TrialState

        self._catch_up()
        runs = {
            trial.user_attrs[OUT]: self.trials.texts(trial)
            for trial in self.trials
            if trial.state == TrialState.COMPLETE
        }
        alike = Counter(map(self._title, runs.values()))
        for out, texts in runs.items():
            title = self._title(texts)
            if alike[title] > 1:  # three digits do not tell them apart
                title = axes.title(texts, self.keys)
            yield title, title, self.question.outputs / out

    def pictures(self) -> dict[str, Figure]:
        """Return pictures by name; none before two trials are complete."""
        from fiducial.sweeps.search.pictures import draw

        with answering(self.question.storage):
            return draw(self.question, self.trials.study, self.trials)

    def close(self) -> None:
        """Let go of the trials in hand: another process may go on with them."""
        if self._opened is not None:
            self._opened.close()

    def _spec(self, trial: FrozenTrial | Trial) -> Spec | None:
        """Return the run of a trial; None where another trial with the same settings is being run."""
        self._begun.add(trial.number)
        texts = self.trials.texts(trial)
        settings = json.dumps(texts)
        if settings in self._running:
            self._twins.setdefault(self._running[settings], []).append(trial.number)
            return None
        self._running[settings] = trial.number
        pruning = None
        question = self.question
        if question.pruner is not None:
            pruning = Pruning(question.storage, question.name, trial._trial_id, question.objectives[0], question.pruner)
        overrides = (*self._overrides, *(f"{key}={value}" for key, value in texts.items()))
        return Spec(trial.number, overrides, self._config_dir, str(self.out), self._title(texts), pruning)

    def _catch_up(self) -> None:
        """Tell the database what it could not be told.

        Raises:
            AwayError: it still does not answer.
        """
        if self._outage.error:
            self.trials.check()
        while self._untold:
            self._untold[0]()
            self._untold.popleft()
        self._outage.end()

    def _stays_away(self) -> AwayError:
        """Return what is said of a database that stays away."""
        untold = counted(len(self._untold), "trial")
        found = f", and finds in the folders of runs what came of {untold}" if self._untold else ""
        return AwayError(
            f"{self._outage.error}, for more than {PATIENCE_SECONDS / 60:g} min; the same command goes on with the "
            f"search{found}"
        )

    def _title(self, texts: dict[str, str]) -> str:
        return axes.title({key: brief(value) for key, value in texts.items()}, self.keys)

    def _relative(self, out: str) -> str:
        path = Path(out).resolve()
        return str(path.relative_to(self.question.outputs) if path.is_relative_to(self.question.outputs) else path)
