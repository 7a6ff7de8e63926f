"""What reaches SLURM of a launcher's options; `sbatch` is a stand-in that keeps the file and refuses it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fiducial.errors import InputError
from fiducial.sweeps.cluster import Mail
from fiducial.sweeps.job import Spec
from fiducial.sweeps.slurm import SlurmLauncher, SubmititLocalLauncher

SPEC = Spec(3, ("seed=3",), None, "", "seed=3")


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an `sbatch` in front of all others; return where it leaves what it was given."""
    if not os.environ.get("CI"):
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs pip install 'fiducial[slurm]'")
    kept = tmp_path / "submitted.sh"
    for name in ("sbatch", "srun"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\ncp "$1" {kept}\necho "no such partition" >&2\nexit 1\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return kept


def submit(launcher: SlurmLauncher, folder: Path) -> None:
    launcher.connect(folder / "logs")
    with pytest.raises(Exception, match="no such partition"):
        launcher.run(SPEC, Mail(folder / "mail", 3))


def test_options_become_those_of_sbatch(submitted: Path, tmp_path: Path) -> None:
    launcher = SlurmLauncher(
        partition="gpu",
        account="lab",
        timeout_min=90,
        gpus_per_node=1,
        cpus_per_task=4,
        mem_gb=16,
        setup=["module load cuda"],
        additional_parameters={"mail-user": "me@example.org"},
    )
    submit(launcher, tmp_path)
    lines = submitted.read_text().splitlines()
    expected = {
        "partition=gpu", "account=lab", "time=90", "gpus-per-node=1", "cpus-per-task=4", "mem=16GB",
        "mail-user=me@example.org", "signal=USR2@120", "job-name=fiducial-3", "nodes=1",
    }  # fmt: skip
    assert {f"#SBATCH --{option}" for option in expected} <= set(lines)
    assert "module load cuda" in lines


def test_what_is_not_given_is_left_to_the_cluster(submitted: Path, tmp_path: Path) -> None:
    submit(SlurmLauncher(), tmp_path)
    text = submitted.read_text()
    assert not [word for word in ("partition", "account", "gpus", "mem=", "qos") if f"#SBATCH --{word}" in text]
    assert "#SBATCH --time=1440" in text


@pytest.mark.parametrize("name", ["jürgen", "runs (1)", "it's, so to say"])
def test_folders_may_have_any_name(submitted: Path, tmp_path: Path, name: str) -> None:
    for launcher in (SlurmLauncher(), SubmititLocalLauncher()):
        launcher.connect(tmp_path / name / "logs")
        assert launcher._hydra is not None
        assert launcher._hydra[1].hydra.sweep.dir == str(tmp_path / name / "logs")
    submit(SlurmLauncher(), tmp_path / name)


def test_a_machine_without_slurm_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="sbatch"):
        SlurmLauncher().connect(tmp_path / "logs")
