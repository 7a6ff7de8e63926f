"""Where a run comes from, logged before it starts: settings, code, machine, data."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from omegaconf import DictConfig

from fiducial.config import settings
from fiducial.data.balance import class_counts
from fiducial.data.boxed import BOXES
from fiducial.data.download import write_atomically
from fiducial.data.module import DataModule
from fiducial.data.source import fingerprint_of
from fiducial.data.split_file import as_text
from fiducial.redaction import redact_text
from fiducial.runs import folder
from fiducial.tracking.provenance import Provenance, collect
from fiducial.tracking.run import Run


def log_provenance(run: Run, cfg: DictConfig, out: Path) -> Provenance:
    """Log the settings as parameters, and what a repetition would need but for the data; return the latter."""
    origin, record = collect(sys.argv, Path.cwd()), folder.record(out)
    run.log_params({**record.choices, **settings(cfg)})
    tags, table = origin.as_tags(), "provenance.json"
    if run.resumed:  # what made it is not forgotten for what went on with it
        tags["fiducial.resumed_by"], table = tags.pop("fiducial.command"), "provenance_resumed.json"
    run.set_tags(tags)
    run.set_tags({"fiducial.select": cfg.select, "fiducial.objective": cfg.objective, "fiducial.folder": out.name})
    if record.tables:
        run.set_tags({"fiducial.tables": " ".join(record.short_tables)})
    run.log_text(redact_text((out / folder.CONFIG).read_text(encoding="utf-8")), "config.yaml")
    run.log_text(json.dumps(origin.as_dict(), indent=1), table)
    if origin.diff:
        run.log_text(origin.diff, "uncommitted.diff")
    return origin


def log_data(run: Run, out: Path, data: DataModule, origin: Provenance) -> None:
    """Log what the run learns from, what was found in it, and how it is split; and what identifies the result."""
    record, fingerprint = folder.record(out), fingerprint_of(data.source)
    run.log_dataset(record.choices["data"], fingerprint["sha256"], _profile(data))
    run.set_tags(_identity(record.identity, fingerprint, origin))
    run.set_tags({f"fiducial.{kind}": str(len(texts)) for kind, texts in (data.gate.leaks or {}).items()})
    run.set_tags({"fiducial.looked_for": data.gate.looked_for})
    write_atomically(out / folder.SPLITS, as_text(data.cases))
    run.log_text(json.dumps(fingerprint, indent=1), "data.json")


def _identity(settings: str, fingerprint: dict[str, str], origin: Provenance) -> dict[str, str]:
    """Return the hash of all that a result follows from: settings, data and code."""
    code = (origin.commit or origin.packages.get("fiducial", "")) + origin.diff
    parts = [settings, fingerprint["sha256"], code]
    return {"fiducial.identity": hashlib.sha256("\n".join(parts).encode()).hexdigest()}


def _profile(data: DataModule) -> dict[str, str | int]:
    """Return the numbers of cases of each split, and of cases or boxes of each class in training, if not of masks."""
    cases = {f"{split} cases": len(data.rows(split)) for split in ("train", "val", "test")}
    if data.spec.target == "mask":
        return {**cases, "classes": ", ".join(data.spec.classes), "modality": data.spec.modality}
    boxed = data.spec.target == BOXES
    counts = (data.box_counts() if boxed else class_counts(data.cases, data.spec.num_classes)).tolist()
    what = "boxes" if boxed else "cases"
    classes = {f"train {what} of {name}": count for name, count in zip(data.spec.classes, counts, strict=True)}
    return {**cases, **classes, "modality": data.spec.modality}
