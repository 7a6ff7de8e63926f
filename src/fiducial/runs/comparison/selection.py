"""Which runs are compared: by name, by sweep, by experiment, by a filter of the tracking store."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError, nearest
from fiducial.runs import folder
from fiducial.runs.comparison.member import Member, UnusableError, of_folder, of_store
from fiducial.tracking.receipt import Receipt
from fiducial.wording import counted, listed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000
SWEEPS, SWEEP = "sweeps", "sweep.json"


@dataclass(frozen=True)
class Selection:
    """What was asked for on the command line.

    Attributes:
        outputs: folder of runs.
        runs: folders, last parts of folders, or ids in the tracking UI.
        sweep: name or folder of a sweep.
        experiment: name of an experiment in the tracking UI (`study`).
        filter: of runs in the tracking store, in MLflow's language; inside the experiment, if one is named.
    """

    outputs: Path
    runs: Sequence[str] = ()
    sweep: str | None = None
    experiment: str | None = None
    filter: str | None = None


class Finder:
    """Finds runs in the folder of all runs, else in the tracking store.

    The folder is listed once; the receipts that tell the ids of runs are read if an id is asked for.

    Args:
        outputs: the folder of all runs.
    """

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs.expanduser().resolve()

    @cached_property
    def folders(self) -> list[Path]:
        """Folders of all runs."""
        return list(folder.each(self.outputs))

    @cached_property
    def names(self) -> dict[str, Path | None]:
        """Folders of all runs by their last part; None for a name that several have."""
        found: dict[str, Path | None] = {}
        for out in self.folders:
            found[out.name] = None if out.name in found else out
        return found

    @cached_property
    def ids(self) -> dict[str, Path]:
        """Folders of the runs that were delivered to a tracking store, by id."""
        return {run_id: out for out in self.folders if (run_id := Receipt.run_id_in(out))}

    @cached_property
    def studies(self) -> dict[Path, str]:
        """The experiment of each run."""
        return {out: _study(out) for out in self.folders}

    @cached_property
    def client(self) -> MlflowClient:
        """A client of the store: the server in MLFLOW_TRACKING_URI, else the database beside the runs."""
        from fiducial.tracking.store import connect
        from fiducial.tracking.tracker import DATABASE, Tracker

        if not os.environ.get("MLFLOW_TRACKING_URI") and not (self.outputs / DATABASE).is_file():
            raise InputError(
                f"expected a tracking store: there is no {DATABASE} in {self.outputs}, and MLFLOW_TRACKING_URI names "
                "no server"
            )
        uri = Tracker(outputs=self.outputs, uri="env" if os.environ.get("MLFLOW_TRACKING_URI") else "embedded").uri
        assert uri is not None
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one a file and run
        return connect(uri)

    def find(self, name: str) -> Member:
        """Return the run that a name means.

        Raises:
            InputError: there is none, or it has not come to its end.
        """
        path = Path(name)
        if (path / folder.RECORD).is_file():
            return of_folder(path.resolve())
        if name in self.names and self.names[name] is None:
            raise InputError(f"several runs in {self.outputs / 'runs'} are called {name}: name the folder")
        if (out := self.names.get(name) or self.ids.get(name)) is not None:
            return of_folder(out)
        if re.fullmatch(r"[0-9a-f]{32}", name):
            return of_store(self.client, self._stored(name))
        raise InputError(
            f"expected the folder or the id of a run, got {name!r}, which names none of the "
            f"{counted(len(self.folders), 'run')} in {self.outputs / 'runs'}{nearest(name, self.names)}"
        )

    def in_sweep(self, sweep: str) -> list[Path]:
        """Return the folders of a sweep's runs: those that it started, and those that were done before.

        Raises:
            InputError: there is no such sweep.
        """
        named = Path(sweep).expanduser()
        place = (named if named.is_dir() else self.outputs / SWEEPS / sweep).resolve()
        if not (place / SWEEP).is_file():
            known = [file.parent.name for file in self.outputs.glob(f"{SWEEPS}/*/{SWEEP}")]
            raise InputError(
                f"--sweep: expected the folder or the name of a sweep, got {sweep!r}{nearest(sweep, known)} (sweeps in "
                f"{self.outputs}: {', '.join(sorted(known)) or 'none'})"
            )
        content = json.loads((place / SWEEP).read_text(encoding="utf-8"))
        planned = {job["identity"] for job in content.get("jobs", [])}
        done = {(place / run).resolve() for run in content.get("runs", [])}  # of a search, some may be of another one
        return [
            out
            for out, record in folder.records(self.outputs)
            if out in done or record.identity in planned or _sweep(out, record) == place
        ]

    def in_experiment(self, name: str) -> list[Path]:
        """Return the folders of an experiment's runs; none where a server may have them.

        Raises:
            InputError: there is none here, and no server.
        """
        found = [out for out, study in self.studies.items() if study == name]
        if not found and not os.environ.get("MLFLOW_TRACKING_URI"):
            others = set(self.studies.values())
            raise InputError(
                f"--experiment: there is no run of {name!r} in {self.outputs}{nearest(name, others)} (experiments: "
                f"{', '.join(sorted(others)) or 'none'})"
            )
        return found

    def matching(self, text: str, experiment: str | None) -> Iterator[Path | Run]:
        """Yield the finished runs that a filter of the tracking store matches: their folders, if they are here."""
        for run in self._search(text, experiment):
            if run.info.status != "FINISHED" or "fiducial.folder" not in run.data.tags:
                continue  # a parent run, or one of another program
            out = self.ids.get(run.info.run_id)  # other runs of one server may have folders of the same name
            yield out if out and folder.is_finished(out) else run

    def _stored(self, run_id: str) -> Run:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            raise InputError(f"expected the id of a run, got {run_id}: {str(error).splitlines()[0]}") from error

    def _search(self, text: str, experiment: str | None) -> Iterator[Run]:
        from mlflow.exceptions import MlflowException

        named = [self.client.get_experiment_by_name(experiment)] if experiment else self.client.search_experiments()
        ids = [found.experiment_id for found in named if found is not None]
        if not ids and experiment:
            known = sorted(found.name for found in self.client.search_experiments())
            raise InputError(
                f"--experiment: the store has no {experiment!r}{nearest(experiment, known)} (experiments: "
                f"{', '.join(known) or 'none'})"
            )
        token: Any = None
        while ids:
            try:
                page = self.client.search_runs(ids, text, max_results=PAGE, page_token=token)
            except MlflowException as error:
                raise InputError(
                    f"--filter: {str(error).splitlines()[0]}. Expected MLflow's language, such as "
                    "\"params.model = 'resnet18' and metrics.`test/auroc` > 0.8\""
                ) from error
            yield from page
            token = page.token
            if not token:
                return


def select(selection: Selection, finder: Finder) -> tuple[list[Member], list[str]]:
    """Return the finished runs that are asked for, each once, and notes on those left out.

    Raises:
        InputError: nothing is asked for, a run that is named is not there, or none is finished.
    """
    found = [finder.find(name) for name in selection.runs]
    unfinished, unusable = 0, []
    for place in _places(selection, finder):
        if isinstance(place, Path) and not folder.is_finished(place):
            unfinished += 1
            continue
        try:
            found.append(of_folder(place) if isinstance(place, Path) else of_store(finder.client, place))
        except UnusableError as error:
            unusable.append(str(error))
    if not found and unusable:
        raise InputError(listed(unusable, "; "))
    if not found and unfinished:
        raise InputError(f"expected finished runs to compare, got {counted(unfinished, 'run')} of which none is")
    if not found and (selection.filter is not None or selection.experiment is not None):
        raise InputError("expected finished runs to compare; the store has none that --experiment and --filter match")
    if not found:
        raise InputError("expected finished runs to compare, got none: name runs, or --sweep, --experiment, --filter")
    notes = [f"left out: {counted(unfinished, 'unfinished run')}"] if unfinished else []
    notes += [f"left out: {listed(unusable, '; ')}"] if unusable else []
    return list({member.place: member for member in found}.values()), notes


def _places(selection: Selection, finder: Finder) -> Iterator[Path | Run]:
    """Yield the runs that are asked for without naming each."""
    if selection.sweep is not None:
        yield from finder.in_sweep(selection.sweep)
    if selection.filter is not None:
        yield from finder.matching(selection.filter, selection.experiment)
    elif selection.experiment is not None:
        here = finder.in_experiment(selection.experiment)
        yield from here or finder.matching("", selection.experiment)


def _sweep(out: Path, record: folder.Record) -> Path | None:
    return Path(os.path.normpath(out / record.sweep)) if record.sweep else None


def _study(out: Path) -> str:
    """Return a run's experiment: a line near the top of its configuration, read without parsing the rest."""
    import yaml

    with (out / folder.CONFIG).open(encoding="utf-8") as lines:
        line = next((line for line in lines if line.startswith("study:")), "study:")
    return str(yaml.safe_load(line)["study"])
