"""Completion in the shells themselves, and what it offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fiducial.cli.candidates import candidates
from fiducial.cli.completion import SCRIPTS
from fiducial.config import GROUPS, Groups

ASK = """
eval "$(fiducial completion bash)"
COMP_LINE="$1" COMP_POINT=${#1}
read -r -a COMP_WORDS <<< "${1//=/ = }"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
complete -p fiducial >&2
_fiducial fiducial
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH on which `fiducial` is the command under test."""
    command = tmp_path / "bin" / "fiducial"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fiducial "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


LINES = [
    ("fiducial tra", ["train "]),
    ("fiducial train mod", ["model="]),
    ("fiducial train model=resnet", ["resnet18 ", "resnet50 "]),
    ("fiducial train optimizer.lr", ["optimizer.lr="]),
    ("fiducial train optimizer=sgd optimizer.nest", ["optimizer.nesterov="]),
    ("fiducial train -m model=lenet,plain", ["lenet,plain_cnn "]),
    ("fiducial nothing ", [""]),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_bash(line: str, expected: list[str], path: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", line],
        env={**os.environ, "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip("\n").split("\n") == expected
    assert "-F _fiducial fiducial" in done.stderr


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(path: str, tmp_path: Path) -> None:
    script = 'fiducial completion fish | source; complete -C "fiducial train model=resnet"'
    environment = {**os.environ, "PATH": path, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["model=resnet18", "model=resnet50"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_script_is_valid(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=SCRIPTS[shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", ["fiducial train optimizer.", "fiducial train model=", "fiducial train data.source."])
def test_nothing_heavy_is_loaded(line: str, fiducial: Any) -> None:
    answer = fiducial("completion", "bash", "--line", line)
    assert (answer.code, answer.message, answer.heavy) == (0, "", ())
    assert answer.output


def test_groups_and_options() -> None:
    words = candidates("fiducial train ")
    assert {f"{group}=" for group in GROUPS} <= set(words)
    assert {"epochs=", "seed=", "trainer="} <= set(words)
    for group in GROUPS:
        assert candidates(f"fiducial train {group}=") == [f"{group}={name} " for name in Groups.find().options(group)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fiducial train model", ["model=", "model."]),
        ("fiducial train model.drop", ["model.dropout="]),
        ("fiducial train model=resnet18 model.de", ["model.depth="]),
        ("fiducial train experiment=medmnist_resnet18 model.de", ["model.depth="]),
        ("fiducial train data.so", ["data.source."]),
        ("fiducial train data=breastmnist data.source.do", ["data.source.download="]),
        ("fiducial train ~model.dro", ["~model.dropout="]),
        ("fiducial train trainer.limit_tr", ["trainer.limit_train_batches="]),
        ("fiducial train trainer.max_e", []),  # epochs=… decides it
        (
            "fiducial train data.source.target=multi",
            ["data.source.target=multiclass ", "data.source.target=multilabel "],
        ),
        ("fiducial train optimizer.amsgrad=", ["optimizer.amsgrad=true ", "optimizer.amsgrad=false "]),
        ("fiducial train select=b", ["select=best "]),
        ("fiducial train data.se", []),
        ("fiducial train --cfg ", ["job "]),
        ("fiducial train --config-dir ", []),
        ("fiducial options opt", ["optimizer "]),
        ("fiducial options optimizer sg", ["sgd "]),
        ("fiducial options optimizer sgd ", []),
        ("fiducial evaluate x --split v", ["val "]),
        ("fiducial options sch", ["scheduler "]),
        ("fiducial completion z", ["zsh "]),
        ("fiducial train nothing=", []),
        ("fiducial train model=nothing model.", []),
        ("PYTHONPATH=x /opt/bin/fiducial train sche", ["scheduler="]),
    ],
)
def test_candidates(line: str, expected: list[str]) -> None:
    assert candidates(line) == expected


def test_own_options(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("_target_: difflib.Differ\n")
    assert candidates(f"fiducial train --config-dir {tmp_path} model=mi") == ["model=mine "]
    assert candidates(f"fiducial train --config-dir {tmp_path} model=mine model.") == [
        "model.linejunk=",
        "model.charjunk=",
    ]


def test_runs(tmp_path: Path) -> None:
    for name in ("a/20260101-000000-aaaaaa", "b/20260102-000000-bbbbbb"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{}")
    for verb in ("evaluate", "predict"):
        found = candidates(f"fiducial {verb} --outputs {tmp_path} 2026")
        assert found == ["20260102-000000-bbbbbb ", "20260101-000000-aaaaaa "]
    assert candidates(f"fiducial predict --outputs {tmp_path} 20260102-000000-bbbbbb image") == []
