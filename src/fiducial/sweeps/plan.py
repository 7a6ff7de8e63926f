"""What a sweep would run: every job composed and checked, and how it stands, before the first one starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.config import Composed, Groups, compose_all
from fiducial.config.overrides import jobs as combinations
from fiducial.config.scalars import targets
from fiducial.errors import InputError
from fiducial.redaction import redact, redact_text
from fiducial.runs import folder
from fiducial.sweeps import axes
from fiducial.sweeps.job import Ending, Spec
from fiducial.sweeps.ledger import Ledger, Standing
from fiducial.sweeps.slots import most_demanding

# What makes no difference to how long a step takes: jobs that differ in nothing else are measured once.
WITHOUT_COST = ("seed", "epochs", "data.fold", "optimizer.lr", "optimizer.weight_decay", "scheduler", "select")


@dataclass(frozen=True)
class Job:
    """A run of a sweep.

    Attributes:
        number: in the sweep, from 0.
        composed: its configuration.
        identity: hash of all settings that can change its result.
        values: what its overrides set, by key.
        title: what tells it from the others.
        setting: what it has in common with its repetitions.
        standing: how it stood when the plan was made.
        out: folder of the run that counts, if there is one.
    """

    number: int
    composed: Composed
    identity: str
    values: dict[str, str]
    title: str
    setting: str
    standing: Standing
    out: Path | None

    @property
    def cost(self) -> str:
        """What decides how long a step takes."""
        settings = self.composed.settings()
        return json.dumps({key: value for key, value in settings.items() if not key.startswith(WITHOUT_COST)})

    def content(self) -> dict[str, Any]:
        """Return what a reader may know of it: no secrets."""
        names = {"title": redact_text(self.title), "setting": redact_text(self.setting)}
        values = {key: redact(key, value) for key, value in self.values.items()}
        return {"number": self.number, **names, "identity": self.identity, "values": values}


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep.

    Attributes:
        jobs: all of them.
        keys: what differs between them.
        study: experiment in the tracking UI that all of them belong to.
        outputs: folder of all runs.
        out: the sweep's folder; the same for the same jobs.
        config_dir: folder of config groups of the user's own.
        num_repeated: combinations that were left out because they are the same as others.
    """

    jobs: tuple[Job, ...]
    keys: tuple[str, ...]
    study: str
    outputs: Path
    out: Path
    config_dir: str | None
    num_repeated: int = 0

    @classmethod
    def of(cls, overrides: Sequence[str], config_dir: str | None) -> Plan:
        """Compose every combination of the values that overrides give.

        Raises:
            InputError: one of them is not a configuration that can be run.
        """
        composed = compose_all(combinations(overrides, Groups.find(config_dir)), config_dir)
        unique: dict[str, Composed] = {}
        for one in composed:
            unique.setdefault(one.identity(), one)
        distinct = list(unique.items())
        values = [axes.values(one.overrides) for _, one in distinct]
        keys = axes.varied(values)
        outputs = Path(composed[0].cfg.outputs)
        if any(Path(one.cfg.outputs) != outputs for one in composed):
            raise InputError("outputs: the runs of a sweep go into one folder; give one value")
        ledger = Ledger(outputs)
        jobs = []
        for number, ((identity, one), given) in enumerate(zip(distinct, values, strict=True)):
            names = axes.title(given, keys) or one.cfg.name, axes.setting(given, keys) or one.cfg.name
            jobs.append(Job(number, one, identity, given, *names, *ledger.standing(identity)))
        study = _study([one for _, one in distinct])
        digest = hashlib.sha256("\n".join(sorted(unique)).encode()).hexdigest()
        out = folder.of_sweep(outputs, f"{study}-{digest[:8]}")
        return cls(tuple(jobs), tuple(keys), study, outputs, out, config_dir, len(composed) - len(distinct))

    @property
    def to_run(self) -> list[Job]:
        """The jobs that are neither done nor in the hands of another process."""
        return [job for job in self.jobs if job.standing not in ("done", "running")]

    @property
    def objectives(self) -> tuple[str, ...]:
        """Return nothing: each run is judged by what it selected its checkpoint by."""
        return ()

    @property
    def config(self) -> DictConfig:
        """A job's configuration, with the hardware that takes most, together with how the sweep is run."""
        first = self.jobs[0].composed
        hardware = most_demanding([job.composed.cfg.hardware for job in self.to_run or self.jobs])
        config = OmegaConf.merge(first.cfg, first.sweep)
        assert isinstance(config, DictConfig)
        config.hardware = hardware
        return config

    @property
    def name(self) -> str:
        """What differs, and how often each setting is repeated: `model × lr, 3 seeds`."""
        names = axes.short(self.keys)
        settings = [names[key] for key in self.keys if key not in axes.REPETITIONS]
        repeated = [f"{len(self._values(key))} {names[key]}s" for key in self.keys if key in axes.REPETITIONS]
        return ", ".join([" × ".join(settings)] * bool(settings) + repeated) or "one run"

    def __len__(self) -> int:
        return len(self.to_run)

    def targets(self) -> set[str]:
        """Return the dotted names of the classes that jobs are built from."""
        return {target for job in self.to_run for target in targets(job.composed.cfg)}

    def remark(self, at_once: int) -> str:
        """Nothing: jobs do not depend on each other."""
        return ""

    def titles(self) -> dict[int, str]:
        """Return the titles of the jobs that are to be run, by number."""
        return {job.number: job.title for job in self.to_run}

    def params(self) -> dict[str, str]:
        """Return the values of each key that differs between jobs."""
        return {key: ", ".join(self._values(key)) for key in self.keys}

    def content(self) -> dict[str, Any]:
        """Return the plan, to be kept as JSON, and sent to the tracking server."""
        return {"keys": self.keys, "jobs": [job.content() for job in self.jobs]}

    def finished(self) -> Iterator[tuple[str, str, Path]]:
        """Yield title, setting and folder of every job that is done by now."""
        ledger = Ledger(self.outputs)
        for job in self.jobs:
            standing, out = ledger.standing(job.identity)
            if standing == "done" and out is not None:
                yield job.title, job.setting, out

    def elsewhere(self) -> int:
        """Return how many runs were left to another process, and are not done yet."""
        left = [job for job in self.jobs if job.standing == "running"]
        if not left:
            return 0  # without reading every run there is
        ledger = Ledger(self.outputs)
        return sum(ledger.standing(job.identity)[0] != "done" for job in left)

    def ended(self, ending: Ending) -> Ending:
        """Take it as it is: finished runs are found by their identity."""
        return ending

    def settle(self) -> None:
        """Nothing is left to be done."""

    def pictures(self) -> dict[str, Any]:
        """No pictures beyond those that every sweep has."""
        return {}

    def _values(self, key: str) -> list[str]:
        return list(dict.fromkeys(job.values[key] for job in self.jobs if key in job.values))

    def specs(self) -> Iterator[Spec]:
        """Yield what a process needs to run each job that is to be run."""
        for job in self.to_run:
            composed = job.composed if "study" in job.values else job.composed.of_study(self.study)
            yield Spec(job.number, composed.overrides, self.config_dir, str(self.out), job.title, composed=composed)


def _study(composed: Sequence[Composed]) -> str:
    """Return the experiment that all runs belong to: the one they name, else the data sets they learn from."""
    named = {str(one.cfg.study) for one in composed}
    return named.pop() if len(named) == 1 else "-and-".join(sorted(named))[:100]
