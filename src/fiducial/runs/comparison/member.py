"""One run as a comparison sees it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fiducial.config import GROUPS
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.tracking.liveness import FOLDER
from fiducial.tracking.provenance import CODE_TAGS, code_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOGGED = Path(FOLDER) / "files"  # in a run's folder
SHORT = 8  # characters of a hash that tell contents apart
COUNTED = ("parameters",)  # logged beside the settings; it follows from them


class UnusableError(InputError):
    """A finished run lacks what a comparison needs."""


class Place(Protocol):
    """Where a run's files are."""

    def file(self, name: str) -> AbstractContextManager[Path]:
        """Give the path of a file, which exists unless the run has none of this name."""
        ...


@dataclass(frozen=True)
class Folder:
    """A run's folder on this machine."""

    path: Path

    def file(self, name: str) -> AbstractContextManager[Path]:
        """Give the path of a file."""
        return nullcontext(self.path / name)


@dataclass(frozen=True)
class Artifacts:
    """What a tracking server has of a run; a file is here only while it is read."""

    client: MlflowClient
    run_id: str

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give the path of a downloaded file."""
        from tempfile import TemporaryDirectory

        present = {item.path for item in self.client.list_artifacts(self.run_id)}
        with TemporaryDirectory(prefix="fiducial-") as place:
            if name in present:
                self.client.download_artifacts(self.run_id, name, place)
            yield Path(place) / name


@dataclass(frozen=True)
class Member:
    """A finished run.

    Attributes:
        name: last part of its folder, or its id in the tracking UI.
        place: where its files are.
        choices: option of each group.
        settings: every scalar setting by dotted key, as text.
        tables: what tells the content of the text files that list its cases and their splits.
        code: what tells the code that it ran; empty if nobody knows.
        data: what tells the content of its data, images included; empty if nobody knows.
        time: of its end, in seconds, to tell the later of two.
        objective: name of its validation metric.
        value: of that metric at the tested checkpoint; None if nobody knows.
    """

    name: str
    place: Place
    choices: Mapping[str, str]
    settings: Mapping[str, str]
    time: float
    objective: str
    value: float | None
    tables: tuple[str, ...] = ()
    code: str = ""
    data: str = ""


def of_folder(out: Path) -> Member:
    """Return the run in a folder.

    Raises:
        InputError: it has not come to its end.
        UnusableError: it lacks what a comparison needs.
    """
    try:
        scores = folder.scores(out)
        ended = (out / folder.SCORES).stat().st_mtime
    except FileNotFoundError:
        raise InputError(f"run {out} has not come to its end: it has no {folder.SCORES}") from None
    record, objective = folder.record(out), scores.get("objective")
    for name, what, found in (
        (folder.RECORD, "settings", record.settings),
        (folder.SCORES, "objective", objective),
    ):
        if not found:
            raise UnusableError(f"run {out} cannot be compared: its {name} lacks the {what}, as in early versions")
    assert objective is not None
    value, origin = objective["value"], _logged(out, "provenance.json")
    return Member(
        name=out.name,
        place=Folder(out),
        choices=record.choices,
        settings={key: str(value) for key, value in record.settings.items()},
        time=ended,
        objective=str(record.settings.get("objective", "")),
        value=value if value is not None and math.isfinite(value) else None,
        tables=record.short_tables,
        code=code_of(origin.get("packages", {}).get("fiducial"), origin.get("commit"), origin.get("changes")),
        data=_logged(out, "data.json").get("sha256", "")[:SHORT],
    )


def of_store(client: MlflowClient, run: Run) -> Member:
    """Return a run that a tracking store has.

    Raises:
        InputError: it has not come to its end.
    """
    if run.info.status != "FINISHED":
        raise InputError(f"run {run.info.run_id} has not come to its end: its status is {run.info.status}")
    objective = run.data.tags.get("fiducial.objective", "")
    epoch = run.data.metrics.get("selected_epoch")
    points = client.get_metric_history(run.info.run_id, objective) if objective else []
    datasets = run.inputs.dataset_inputs if run.inputs else []
    at_epoch = [point.value for point in points if point.step == epoch and math.isfinite(point.value)]
    return Member(
        name=run.info.run_id,
        place=Artifacts(client, run.info.run_id),
        choices={key: value for key, value in run.data.params.items() if key in GROUPS},
        settings={key: value for key, value in run.data.params.items() if key not in (*GROUPS, *COUNTED)},
        time=(run.info.end_time or 0) / 1000,
        objective=objective,
        value=at_epoch[-1] if at_epoch else None,
        tables=tuple(run.data.tags.get("fiducial.tables", "").split()),
        code=code_of(*(run.data.tags.get(key) for key in CODE_TAGS)),
        data=next((used.dataset.digest[:SHORT] for used in datasets), ""),
    )


def _logged(out: Path, name: str) -> dict[str, Any]:
    """Return what a run logged as a small JSON file; empty where it did not."""
    try:
        content: dict[str, Any] = json.loads((out / LOGGED / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content
