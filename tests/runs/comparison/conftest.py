"""Made-up finished runs, as a run leaves them behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Write = Callable[..., Path]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def write(outputs: Path) -> Write:
    """Return a function that writes a run's folder."""
    count = iter(range(10_000))

    def write(
        model: str = "lenet",
        *,
        seed: int = 0,
        settings: dict[str, Any] | None = None,
        objective: float | None = 0.8,
        finished: bool = True,
        study: str = "digits",
        **record: Any,
    ) -> Path:
        out = outputs / "runs" / f"made-up-{model}" / f"20260101-{next(count):06d}"
        out.mkdir(parents=True)
        values = {"seed": seed, "model._target_": f"nets.{model}", "objective": "val/auroc", **(settings or {})}
        content = {
            "identity": out.name,
            "choices": {"data": "phantom", "model": model},
            "overrides": [],
            "settings": values,
            **record,
        }
        (out / "run.json").write_text(json.dumps(content))
        (out / "config.yaml").write_text(f"name: x\nstudy: {json.dumps(study)}\nseed: {seed}\n")
        if finished:
            scores = {"epoch": 3, "objective": {"name": "val/auroc", "value": objective}}
            (out / "scores.json").write_text(json.dumps(scores))
        return out

    return write


@pytest.fixture
def predictions() -> Callable[..., Path]:
    """Return a function that writes a binary classifier's predictions into a run's folder."""
    return write_predictions


@pytest.fixture
def came_of() -> Callable[..., Path]:
    """Return a function that writes into a run's folder what code and data it came of."""

    def write(out: Path, *, commit: str = "", changes: str = "", content: str = "") -> Path:
        files = out / "tracking" / "files"
        files.mkdir(parents=True)
        origin = {"packages": {"fiducial": "0.1.0"}, "commit": commit or None, "changes": changes or None}
        (files / "provenance.json").write_text(json.dumps(origin))
        (files / "data.json").write_text(json.dumps({"sha256": content}))
        return out

    return write


@pytest.fixture
def case_scores() -> Callable[..., Path]:
    """Return a function that writes scores by case into a run's folder."""
    return write_case_scores


def write_predictions(
    out: Path, score: Sequence[float], labels: Sequence[int], *, subjects: Sequence[Any] = (), first: int = 0
) -> Path:
    """Write a table of predictions; the cases are numbered from `first`."""
    lines = ["case,subject,split,label,predicted,p_0,p_1"]
    for n, (p, label) in enumerate(zip(np.asarray(score).tolist(), np.asarray(labels).tolist(), strict=True)):
        subject = subjects[n] if len(subjects) else f"s{n + first}"
        lines.append(f"c{n + first:04d},{subject},test,{label},{int(p > 0.5)},{1 - p!r},{p!r}")
    (out / "predictions.csv").write_text("\n".join(lines) + "\n")
    return out


def write_case_scores(out: Path, split: str = "test", **columns: Sequence[float]) -> Path:
    """Write a table of scores by case; NaN is written as nothing."""
    lines = [",".join(["case", "subject", "split", *columns])]
    for n, row in enumerate(zip(*columns.values(), strict=True)):
        lines.append(",".join([f"c{n:04d}", f"s{n // 2}", split, *("" if v != v else repr(float(v)) for v in row)]))
    (out / "case_scores.csv").write_text("\n".join(lines) + "\n")
    return out
