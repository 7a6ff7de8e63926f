"""Where a run comes from, logged before it starts: settings, code, machine, data."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.data.module import DataModule, class_counts
from fiducial.runs import folder
from fiducial.tracking.provenance import Provenance, collect
from fiducial.tracking.redaction import redact_text
from fiducial.tracking.run import Run

PLACES = ("outputs", "data_dir", "cache_dir", "resume", "name", "study")


def log_provenance(run: Run, cfg: DictConfig, out: Path, data: DataModule) -> None:
    """Log the settings as parameters, and everything that a repetition would need as tags and files."""
    origin = collect(sys.argv, Path.cwd())
    record = folder.record(out)
    fingerprint = dict(data.source.fingerprint())
    run.log_params({**record.choices, **dict(_scalars(OmegaConf.to_container(cfg, resolve=True)))})
    run.log_dataset(record.choices["data"], fingerprint["sha256"], _profile(data))
    run.set_tags({**origin.as_tags(), **_identity(record.identity, fingerprint, origin)})
    run.set_tags({"fiducial.select": cfg.select, "fiducial.objective": cfg.objective, "fiducial.folder": out.name})
    run.log_text(redact_text((out / folder.CONFIG).read_text()), "config.yaml")
    run.log_text(json.dumps(origin.as_dict(), indent=1), "provenance.json")
    run.log_text(json.dumps(fingerprint, indent=1), "data.json")
    if origin.diff:
        run.log_text(origin.diff, "uncommitted.diff")


def _identity(settings: str, fingerprint: dict[str, str], origin: Provenance) -> dict[str, str]:
    """Return the hash of all that a result follows from: settings, data and code."""
    code = (origin.commit or origin.packages.get("fiducial", "")) + origin.diff
    parts = [settings, fingerprint["sha256"], code]
    return {"fiducial.identity": hashlib.sha256("\n".join(parts).encode()).hexdigest()}


def _profile(data: DataModule) -> dict[str, str | int]:
    """Return the numbers of cases, of each split and of each class in training."""
    cases = {f"{split} cases": len(data.rows(split)) for split in ("train", "val", "test")}
    counts = class_counts(data.cases, data.spec.num_classes).tolist()
    classes = {f"train cases of {name}": count for name, count in zip(data.spec.classes, counts, strict=True)}
    return {**cases, **classes, "modality": data.spec.modality}


def _scalars(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the scalar settings, and lists of scalars, by dotted key; folders and contracts are not settings."""
    if isinstance(value, dict):
        for key, item in value.items():
            inside = f"{path}.{key}" if path else str(key)
            if key not in ("contract", "spec") and inside not in PLACES and item is not None:
                yield from _scalars(item, inside)
    elif not isinstance(value, list) or not any(isinstance(item, dict | list) for item in value):
        yield path, value
