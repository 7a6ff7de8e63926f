"""A run's folder: what it is called, what lies where, and how an interrupted one is found again.

config.yaml       every value of the run
run.json          what identifies it: a hash of its settings, the options picked, the command
splits.csv        which split each case is in
checkpoints/      last, previous, best
tracking/         journal of everything that was tracked
predictions.csv   what it predicted for each test case; or, of masks and boxes:
case_scores.csv   the scores of each test case
predictions/      its mask
detections.json   its boxes
scores.json       test scores with intervals
figures/          pictures
profile/          of debug=profile: trace and operators of training steps
process-1.log     what process 1, 2, … of a data-parallel run printed, if it failed
evaluations/      a folder for each time that it was scored again
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial import ranks
from fiducial.config import Composed, Groups, compose, settings
from fiducial.config.change import carried_over
from fiducial.config.composition import table_hashes
from fiducial.config.construction import component
from fiducial.config.signature import signature
from fiducial.errors import InputError
from fiducial.tracking.journal import History
from fiducial.tracking.liveness import FOLDER as TRACKING
from fiducial.tracking.liveness import write_whole
from fiducial.tracking.receipt import Receipt

CONFIG, RECORD, SCORES, PREDICTIONS = "config.yaml", "run.json", "scores.json", "predictions.csv"
CHECKPOINTS, FIGURES, PROFILE, SPLITS = "checkpoints", "figures", "profile", "splits.csv"


@dataclass(frozen=True)
class Record:
    """What identifies a run.

    Attributes:
        identity: hash of all settings that can change its result.
        choices: option of each group.
        overrides: what the command line gave.
        settings: every scalar setting by dotted key.
        title: what the run is called in the tracking UI; by default its name.
        sweep: folder of the sweep that it belongs to, relative to the run's own.
        tables: hashes of the text files that list its cases and their splits.
    """

    identity: str
    choices: dict[str, str]
    overrides: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    sweep: str = ""
    tables: tuple[str, ...] = ()

    @property
    def short_tables(self) -> tuple[str, ...]:
        """As much of these hashes as tells them apart for a reader."""
        return tuple(text[:8] for text in self.tables)


def create(composed: Composed, identity: str, *, title: str = "", sweep: Path | None = None) -> Path:
    """Make the folder of a new run, and write its configuration into it.

    Args:
        composed: what is run.
        identity: hash of it.
        title: what it is called in the tracking UI; by default its name.
        sweep: folder of the sweep that it belongs to.

    Raises:
        InputError: a launcher's job has a run already, or the folder of all runs cannot be written.
    """
    cfg = composed.cfg
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    out: Path = Path(cfg.outputs) / "runs" / cfg.name / (ranks.job() or f"{now}-{secrets.token_hex(3)}")
    if out.exists():
        again = quote(f"resume={out}")
        raise InputError(f"{out} is there already: go on with it by {again}, or give torchrun another --rdzv-id")
    check_writable(Path(cfg.outputs))
    out.mkdir(parents=True)
    write_whole(out / CONFIG, OmegaConf.to_yaml(OmegaConf.create(composed.resolved())), lasting=True)
    parent = os.path.relpath(sweep, out) if sweep else ""
    facts = settings(composed.cfg), title, parent, composed.tables
    record = Record(identity, composed.choices, composed.overrides, *facts)
    write_whole(out / RECORD, json.dumps(asdict(record), indent=1), lasting=True)
    return out


def check_writable(outputs: Path) -> None:
    """Make the folder of all runs if it is missing.

    Raises:
        InputError: it cannot be made or written.
    """
    try:
        outputs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"outputs={outputs}: cannot be written ({error.strerror})") from error
    if not os.access(outputs, os.W_OK | os.X_OK):
        raise InputError(f"outputs={outputs}: cannot be written ({os.strerror(errno.EACCES)})")


def of_sweep(outputs: Path, name: str) -> Path:
    """Return the folder of a sweep; experiments may be called what folders may not."""
    return outputs / "sweeps" / re.sub(r"[^\w.-]+", "-", name).strip(".-")


def of_job(parent: Path, patience_seconds: float = 300) -> Path:
    """Wait for the folder that process 0 of a launcher's job makes, and return it."""
    out = parent / ranks.job()
    end = time.monotonic() + patience_seconds
    while not (out / RECORD).is_file():
        if time.monotonic() > end:
            raise InputError(f"process 0 of this job did not make {out} within {patience_seconds:.0f} s")
        time.sleep(0.2)
    return out


def has_begun(out: Path) -> bool:
    """Tell whether the run in a folder has begun: one that was killed before its first line starts from the start."""
    return History.of(out / TRACKING / "journal.jsonl").run is not None


def record(out: Path) -> Record:
    """Read a run's record.

    Raises:
        InputError: it cannot be read.
    """
    path = out / RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {key: value for key, value in content.items() if key in Record.__dataclass_fields__}  # a later version?
        return Record(**{**known, "overrides": tuple(content["overrides"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: expected the record of a run, got what cannot be read ({error}); a power loss may have left it so"
        ) from error


def config(out: Path) -> DictConfig:
    """Read a run's configuration; of an outputs folder that was moved since, with the places where it is now."""
    cfg = OmegaConf.load(out / CONFIG)
    assert isinstance(cfg, DictConfig)
    runs, before = out.resolve().parent.parent, cfg.get("outputs")
    here = runs.parent
    if before is None or runs.name != "runs" or Path(before).resolve() == here:
        return cfg
    moved = OmegaConf.create(_moved(OmegaConf.to_container(cfg), str(before), str(here)))
    assert isinstance(moved, DictConfig)
    return moved


def renew(out: Path, composed: Composed) -> DictConfig:
    """Write and return the configuration of a run that goes on by the same settings: files may lie elsewhere by now."""
    before = config(out)
    cfg = OmegaConf.create(composed.resolved())
    cfg.name, cfg.study = before.name, before.study
    write_whole(out / CONFIG, OmegaConf.to_yaml(cfg))
    return cfg


def check_tables(known: Sequence[str], cfg: DictConfig, what: str) -> None:
    """Refuse to go on where the text files that list cases and splits are no longer those that something began with.

    Args:
        known: hashes of them; nothing is looked at if there are none.
        cfg: a run's configuration.
        what: began with them.

    Raises:
        InputError: their content is another.
    """
    if known and tuple(known) != table_hashes(component(cfg.data.source), cfg):
        raise InputError(
            f"{what} began with another content of the files that list its cases or splits; it cannot go on with this "
            "one. Put them back, or start anew"
        )


def _moved(content: Any, before: str, here: str) -> Any:
    """Return plain containers with `here` in place of `before`, and of what is inside it."""
    if isinstance(content, dict):
        return {key: _moved(value, before, here) for key, value in content.items()}
    if isinstance(content, list):
        return [_moved(value, before, here) for value in content]
    inside = isinstance(content, str) and (content == before or content.startswith(f"{before}{os.sep}"))
    return here + content[len(before) :] if inside else content


def changed(out: Path, overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """Return a run's configuration with some of its settings changed; without overrides, as it is.

    What the run, or its preset, set of an option in whose place another is named is left out, and said.
    """
    if not overrides:
        return config(out)
    settings_of_run, groups = _settings(out), Groups.find(config_dir)
    _check_options(out, overrides, groups)
    lines = _carried(out, overrides, groups)
    return compose([*lines, *_as_learned(lines, settings_of_run, groups)], config_dir, trained=True).cfg


def hardware(out: Path, overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """Return a run's hardware with some of its settings changed; nothing else of the run need be there."""
    lines = [line for line in _carried(out, overrides, Groups.find(config_dir)) if _group(line) == "hardware"]
    found = compose(lines, config_dir, trained=True).cfg.hardware
    assert isinstance(found, DictConfig)
    return found


def _check_options(out: Path, overrides: Sequence[str], groups: Groups) -> None:
    """Refuse to compose anew what was made of options that are not there."""
    named = {line.partition("=")[0] for line in overrides}
    for place, option in record(out).choices.items():
        group = place.partition(".")[0]
        if place not in named and option not in groups.options(group):
            raise InputError(
                f"the run was made with {place}={option}, an option that is not there: options of your own are found "
                "in the folder that --config-dir names"
            )


def _settings(out: Path) -> dict[str, Any]:
    cfg = OmegaConf.to_container(config(out))
    assert isinstance(cfg, dict)
    return {str(key): value for key, value in cfg.items()}


def _carried(out: Path, overrides: Sequence[str], groups: Groups) -> list[str]:
    """Return the command line of a changed run; say what of its own no longer holds."""
    known = record(out)
    lines, dropped = carried_over(known.overrides, overrides, _settings(out), known.choices, groups)
    if dropped:
        print(f"left out, being for the option that was replaced: {', '.join(dropped)}")
    return lines


def _group(line: str) -> str:
    return line.lstrip("+~").partition("=")[0].partition(".")[0]


def _as_learned(lines: Sequence[str], cfg: Mapping[str, Any], groups: Groups) -> list[str]:
    """Return what gives a table named anew what a run learned: classes, of which it may have some only, and size."""
    given = dict(line.lstrip("+~").partition("=")[::2] for line in lines)
    if given.get("data") not in groups.options("data"):  # composing says so
        return []
    source = groups.content("data", given["data"]).get("source", {})
    target = str(given.get("data.source._target_", source.get("_target_")))
    known, spec = signature(target), cfg["data"]["spec"]
    takes = set(known.names) if known is not None else set()
    boxes = target.endswith(".BoxTable")  # may give labels of whole images, which are its own
    if "classes" not in takes or boxes != (spec["target"] == "boxes"):
        return []
    learned = {"classes": json.dumps(list(spec["classes"]), ensure_ascii=False)}
    if "size" in takes and spec["target"] != "mask" and not spec["sequence"]:  # a mask is scored at its own size
        learned["size"] = json.dumps(list(spec["size"]))
    return [f"data.source.{key}={value}" for key, value in learned.items() if f"data.source.{key}" not in given]


def of_evaluation(out: Path) -> Path:
    """Make the folder of another evaluation of a run."""
    place = out / "evaluations" / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    place.mkdir(parents=True)
    return place


def find(name: str, outputs: Path) -> Path:
    """Return the run's folder that `name` means: a path, the last part of one, or an id in the tracking UI.

    Raises:
        InputError: there is none, or several; with the latest ones named.
    """
    path = Path(name)
    if (path / RECORD).is_file():
        return path.resolve()
    runs = list(each(outputs))
    found = [run for run in runs if name in (run.name, Receipt.run_id_in(run))]
    if len(found) == 1:
        return found[0]
    which = f"several: {', '.join(map(str, found))}" if found else "no run"
    latest = "\n  ".join(str(run) for run in sorted(runs, key=lambda run: run.stat().st_mtime)[-3:])
    known = f"The latest are:\n  {latest}" if latest else f"There are no runs in {outputs}"
    raise InputError(f"expected the folder or the id of a run, got {name!r}, which names {which}. {known}")


def each(outputs: Path) -> Iterator[Path]:
    """Yield the folders of all runs."""
    yield from (file.parent for file in (Path(outputs).resolve() / "runs").glob(f"*/*/{RECORD}"))


def records(outputs: Path) -> Iterator[tuple[Path, Record]]:
    """Yield the folders of all runs with their records; one whose record cannot be read is left out, and said once."""
    for out in each(outputs):
        try:
            found = record(out)
        except InputError as error:
            _say_once(f"left out: {error}")
        else:
            yield out, found


@cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr)


def latest(outputs: Path, identity: str) -> Path | None:
    """Return the latest run with this identity, or None: the one that `resume=auto` means."""
    same = (run for run, known in records(outputs) if known.identity == identity)
    return max(same, key=lambda run: (run / RECORD).stat().st_mtime, default=None)  # evaluations change the folder


def is_finished(out: Path) -> bool:
    """Tell whether a run came to its end: its scores are the last thing that it writes."""
    return (out / SCORES).is_file()


def is_settled(out: Path) -> bool:
    """Tell whether a run came to its end and said so: one that was killed in between goes on."""
    return is_finished(out) and History.of(out / TRACKING / "journal.jsonl").status in ("FINISHED", None)


def write_scores(out: Path, content: Mapping[str, Any]) -> None:
    """Write a run's scores, see `write_json`; they last."""
    write_json(out / SCORES, content, lasting=True)


def write_json(path: Path, content: Mapping[str, Any], *, lasting: bool = False) -> None:
    """Write strict JSON, whole or not at all, see `write_whole`: what is not a number is null."""
    write_whole(path, json.dumps(_nulled(content), indent=1, allow_nan=False), lasting=lasting)


def scores(out: Path) -> dict[str, Any]:
    """Return what `write_scores` wrote of a finished run; values and bounds that there are not are NaN."""
    content: dict[str, Any] = json.loads((out / SCORES).read_text(encoding="utf-8"))
    intervals = content.get("scores", {}).values()
    for place in (content, content.get("objective") or {}, *intervals):
        place.update({key: math.nan for key in ("loss", "value", "low", "high") if key in place and place[key] is None})
    return content


def _nulled(content: Any) -> Any:
    """Return JSON's equivalent of a value: it has no NaN, and no infinity."""
    if isinstance(content, Mapping):
        return {key: _nulled(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_nulled(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
