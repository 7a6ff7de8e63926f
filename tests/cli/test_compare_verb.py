"""The verb `compare`: what it says, writes and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fiducial.cli.candidates import candidates
from fiducial.cli.command import main

LABELS = np.arange(60) % 2


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Return a folder with finished runs: three seeds of one model, one of another."""
    outputs, generator = tmp_path / "outputs", np.random.default_rng(0)
    for number, (model, seed) in enumerate([("strong", 0), ("strong", 1), ("strong", 2), ("weak", 0)]):
        out = outputs / "runs" / "x" / f"20260101-{number}"
        out.mkdir(parents=True)
        settings = {"seed": seed, "objective": "val/auroc", "model._target_": model}
        record = {"identity": str(number), "choices": {"model": model}, "overrides": [], "settings": settings}
        (out / "run.json").write_text(json.dumps(record))
        (out / "config.yaml").write_text("study: mine\n")
        objective = {"name": "val/auroc", "value": 0.9 if model == "strong" else 0.5}
        (out / "scores.json").write_text(json.dumps({"epoch": 0, "objective": objective}))
        score = np.clip(0.3 + 0.4 * LABELS * (model == "strong") + 0.3 * generator.random(60), 0, 1)
        pairs = enumerate(zip(LABELS, score, strict=True))
        rows = [f"c{n},s{n},test,{y},{int(p > 0.5)},{1 - p},{p}" for n, (y, p) in pairs]
        (out / "predictions.csv").write_text("\n".join(["case,subject,split,label,predicted,p_0,p_1", *rows]))
    return outputs


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arguments])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_tables_and_files(outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / f"x.{name}" for name in ("html", "csv", "latex")}
    flags = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    forest = tmp_path / "forest.svg"
    code, output, message = say(
        capsys, "--experiment", "mine", "--outputs", str(outputs), *flags, "--forest", str(forest)
    )
    assert (code, message) == (0, "")
    assert "reference: model=strong" in output
    assert "model=weak" in output
    assert "worse, p < 0.001" in output
    assert all(f"wrote {path}" in output for path in (*files.values(), forest))
    assert files["html"].read_text().startswith("<!doctype html>")
    assert r"\begin{tabular}" in files["latex"].read_text()
    assert files["csv"].read_text().splitlines()[0].startswith("setting,model,")
    assert "<svg" in forest.read_text()


def test_neither_torch_nor_mlflow_is_needed(outputs: Path) -> None:
    code = (
        "import sys\nfrom fiducial.cli.command import run\n"
        f"assert run('compare', ['--experiment', 'mine', '--outputs', {str(outputs)!r}]) == 0\n"
        "print('heavy:', *sorted({'torch', 'mlflow', 'matplotlib', 'pandas', 'monai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "expected runs to compare"),
        (["--experiment", "mine", "--html", "nowhere/x.html"], "there is no folder nowhere"),
        (["--experiment", "mine", "--forest", "x.gif"], "expected a file ending in .png, .pdf, .svg"),
        (["--experiment", "main"], "did you mean mine"),
        (["--experiment", "mine", "--metric", "auroc,acuracy"], "did you mean accuracy"),
        (["20260101-0", "20260101-1"], "--each-run"),
    ],
)
def test_what_is_refused(
    arguments: list[str], expected: str, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, message = say(capsys, *arguments, "--outputs", str(outputs))
    assert (code, output) == (1, "")
    assert expected in message


def test_completion(outputs: Path) -> None:
    assert candidates(f"fiducial compare --outputs {outputs} 20260101-0 2026") == [
        f"20260101-{number} " for number in (3, 2, 1, 0)
    ]
    assert candidates("fiducial compare --sh") == ["--shared-cases "]
