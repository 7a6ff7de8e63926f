"""From planted studies to a tracked run, as a user does it: nothing planted in anything that comes out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import PLANTED, plant, stack, write
from test_deidentify import leaks

SMALL = (
    *("data.source.size=[6,12,12]", "data.source.intensity=[0,300]", "data.batch_size=4", "epochs=2"),
    *("hardware=cpu", "hardware.threads=1", "model.widths=[4]", "model.dense=[8]", "objective=val/loss"),
)


def fiducial(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command in a folder; return its exit code, and all that it says."""
    environment = {key: value for key, value in os.environ.items() if key != "FIDUCIAL_DATA"}
    command = [sys.executable, "-P", "-m", "fiducial", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def patients(folder: Path, count: int = 12) -> None:
    """Write a planted study of each patient, and their labels."""
    lines = ["patient_id,label"]
    for number in range(count):
        values = np.random.default_rng(number).integers(0, 200, (6, 12, 12)).astype(np.uint16) + number % 2 * 80
        who = {"PatientID": f"MRN-7741902-{number}", "series": str(number)}
        for plane, dataset in enumerate(stack(values, **who)):
            write(plant(dataset), folder / f"folderperson{number}" / f"fileperson{plane}.dcm")
        lines.append(f"MRN-7741902-{number},{'ill' if number % 2 else 'well'}")
    (folder.parent / "labels.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_nothing_planted_in_a_run(tmp_path: Path) -> None:
    patients(tmp_path / "secret" / "studies")
    work = tmp_path / "work"
    work.mkdir()
    key = tmp_path / "secret" / "key"  # a random one moves a planted date onto another now and then
    key.write_text("5a" * 32)
    key.chmod(0o600)
    given = ["../secret/studies", "--to", "cases", "--key", "../secret/key", "--labels", "../secret/labels.csv"]
    code, said = fiducial(work, "import-dicom", *given)
    assert (code, "imported: cases 12, masks 0, subjects 12" in said) == (0, True), said
    code, trained = fiducial(work, "train", "data=table", "data.source.path=cases/cases.csv", *SMALL)
    assert code == 0, trained
    names = {file.name for file in work.rglob("*")}
    assert {"mlflow.db", "predictions.csv", "splits.csv", "config.yaml", "journal.jsonl", "report.md"} <= names
    assert leaks(work, PLANTED) == []
    assert [word for word in PLANTED if word in (said + trained).lower()] == []
    assert leaks(work, ["subject-"]) != []  # what stands there can be found


@pytest.mark.slow
def test_raw_files_of_patients_start_no_run(tmp_path: Path) -> None:
    patients(tmp_path / "studies", 6)
    lines = [f"studies/folderperson{n}/fileperson1.dcm,{'ab'[n % 2]},MRN-7741902-{n}" for n in range(6)]
    (tmp_path / "cases.csv").write_text("path,label,subject\n" + "\n".join(lines) + "\n")
    code, said = fiducial(tmp_path, "train", "data=table", "data.source.path=cases.csv", "data.source.size=[12,12]")
    assert (code, "holds the PatientID of a DICOM file" in said) == (1, True), said
    assert "7741902" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.csv", "labels.csv", "studies"]
