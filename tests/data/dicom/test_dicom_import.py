"""What an import refuses, how labels are joined, and what leads back."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dicom_files import KEY, ROOT, VALUES, imported, stack, write_stack

from fiducial.cli.command import run
from fiducial.data.dicom.conversion import Options
from fiducial.data.dicom.labels import read_labels
from fiducial.data.dicom.study import Import
from fiducial.errors import InputError


def refusal(slices: list[Any], tmp_path: Path) -> str:
    write_stack(slices, tmp_path / "in")
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert rows == []
    assert not (tmp_path / "out").exists()
    (line,) = report.having("refused")
    return line["notes"]


def test_missing_slice(tmp_path: Path) -> None:
    slices = stack(VALUES)
    del slices[3]
    message = refusal(slices, tmp_path)
    assert "between slices 3 and 4 of 5 (at 105.00 and 110.00 mm)" in message
    assert "5.00 mm where 2.50 mm are expected: 1 missing" in message


def test_duplicate_slice(tmp_path: Path) -> None:
    slices = stack(VALUES)
    slices.append(stack(VALUES)[2])
    slices[-1].SOPInstanceUID += ".7"
    assert "slices 3 and 4 of 7 are duplicates" in refusal(slices, tmp_path)


def test_no_pixel_data(tmp_path: Path) -> None:
    slices = stack(VALUES)
    del slices[4].PixelData
    assert refusal(slices, tmp_path) == "slice 5 of 6: there is no pixel data"


def test_labels_are_joined_by_patient_and_by_series(tmp_path: Path) -> None:
    for number in range(3):
        write_stack(stack(VALUES, PatientID=f"p{number}", series=str(number)), tmp_path / "in" / str(number))
    labels = tmp_path / "labels.csv"
    for lines in (
        "patient_id,label\np0,ill\np2,well\n",
        "patient_id; label\np0;ill\np2;well\n",
        f"series_uid,label\n{ROOT}.2.0,ill\n{ROOT}.2.2,well\n",
    ):
        labels.write_text(lines)
        report = Import(
            [tmp_path / "in"], tmp_path / f"out{len(lines)}", KEY, Options(labels=read_labels(labels))
        ).run()
        assert len(report.having("imported")) == 3
        with (tmp_path / f"out{len(lines)}" / "cases.csv").open() as file:
            assert {row["subject"]: row["label"] for row in csv.DictReader(file)} == {
                KEY.name("subject", f"id\0p{number}\0"): label for number, label in enumerate(("ill", "", "well"))
            }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("patient,label\nQuimby,ill\n", "expected the columns label and one of series_uid, study_uid"),
        ("patient_id,label\nQuimby,ill\nQuimby,well\n", "line 3: its patient_id has another label in an earlier line"),
        ("patient_id\nQuimby\n", "expected the columns label"),
    ],
)
def test_labels_that_are_refused(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(lines)
    with pytest.raises(InputError, match=message) as refused:
        read_labels(tmp_path / "labels.csv")
    assert "Quimby" not in str(refused.value)


def test_result_in_a_folder_that_names_a_patient_is_refused(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    with pytest.raises(InputError, match="the folder's path holds the PatientName of an image") as refused:
        imported(tmp_path / "in", tmp_path / "Zelda_Quimby" / "out")
    assert "elda" not in str(refused.value).removeprefix("--to")
    assert not (tmp_path / "Zelda_Quimby" / "out").exists()
    assert len(imported(tmp_path / "in", tmp_path / "Zelda" / "out")[1]) == 1  # a first name is no one in particular


def test_links_lead_back(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    broken = stack(VALUES, series="2")
    del broken[2]
    write_stack(broken, tmp_path / "in" / "b")
    report = Import([tmp_path / "in"], tmp_path / "out", KEY, links=tmp_path / "links.csv").run()
    with (tmp_path / "links.csv").open() as file:
        links = {row["case"]: row for row in csv.DictReader(file)}
    assert links.keys() == {line["case"] for line in report.lines}
    assert all((row["patient_id"], row["patient_name"]) == ("MRN-7741902", "Quimby^Zelda") for row in links.values())
    assert sorted(len(row["files"].split("|")) for row in links.values()) == [5, 6]
    assert (tmp_path / "links.csv").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="there is a table of links already"):
        Import([tmp_path / "in"], tmp_path / "out2", KEY, links=tmp_path / "links.csv")


def test_truncated_file_costs_its_series_only(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in" / "a")
    write_stack(stack(VALUES, series="2"), tmp_path / "in" / "b")
    victim = sorted((tmp_path / "in" / "b").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-40])
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert len(rows) == 1
    (line,) = report.having("refused")
    assert "cannot be decoded (may be cut off)" in line["notes"]


def test_damaged_headers_and_other_files(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    (tmp_path / "in" / "bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0")
    (tmp_path / "in" / "text.dcm").write_text("this is no DICOM at all, only called so")
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert len(rows) == 1
    assert report.skipped["not DICOM"] == 1
    assert len(report.having("refused")) == 1


def test_results_are_not_written_over_nor_among_the_studies(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    with pytest.raises(InputError, match="must lie outside"):
        imported(tmp_path / "in", tmp_path / "in" / "out")
    imported(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InputError, match="new or empty folder"):
        imported(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InputError, match="no such file"):
        imported(tmp_path / "nothing", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_verb_says_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stack(stack(VALUES), tmp_path / "in" / "a")
    write_stack(stack(VALUES, series="2")[::2][:2] + stack(VALUES, series="2")[5:], tmp_path / "in" / "b")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    (tmp_path / "labels.csv").write_text("patient_id,label\nsomebody,ill\n")
    given = ["import-dicom", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--key", str(tmp_path / "key")]
    assert run(given[0], [*given[1:], "--new-key", "--labels", str(tmp_path / "labels.csv")]) == 0
    first, hint, skipped, imported, where, bare = capsys.readouterr().out.splitlines()
    assert first.startswith("refused case-")
    assert "(3 files): between slices 1 and 2 of 3 (at 100.00 and 105.00 mm) there are 5.00 mm where 6.25 mm" in first
    assert hint == "--links FILE, outside the data, tells which files these are"
    assert skipped == "skipped 1 file: not DICOM"
    assert imported == "imported: cases 1, masks 0, subjects 1"
    assert where == f"{tmp_path / 'out' / 'cases.csv'}   {tmp_path / 'out' / 'report.md'}"
    assert bare == f"without label in {tmp_path / 'labels.csv'}: 1 case"


def import_of(tmp_path: Path, out: str) -> list[str]:
    return [str(tmp_path / "in"), "--to", str(tmp_path / out), "--key", str(tmp_path / "key")]


def test_what_a_killed_import_left_is_removed_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    code = (
        "import os, signal, sys\n"
        "from fiducial.data.dicom import study\n"
        "from fiducial.cli.command import run\n"
        "study.Import._write_links = lambda self: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run('import-dicom', sys.argv[1:])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, *import_of(tmp_path, "cases"), "--new-key"], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(".cases.*")
    assert list(left.glob("images/*.nii.gz"))
    bystanders = [tmp_path / name for name in (".cases.old", ".cases2.123456789", ".cases.12.34")]
    for place in bystanders:
        place.mkdir()
    assert run("import-dicom", import_of(tmp_path, "cases")) == 0
    assert f"removed {left}: " in capsys.readouterr().out
    assert not left.exists()
    assert (tmp_path / "cases" / "cases.csv").is_file()
    assert all(place.is_dir() for place in bystanders)


def test_an_import_that_still_runs_is_left_alone(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    running = tmp_path / f".cases.{os.getppid()}"
    running.mkdir()
    with pytest.raises(InputError, match=f"process {os.getppid()} seems to be importing into it"):
        run("import-dicom", [*import_of(tmp_path, "cases"), "--new-key"])
    assert running.is_dir()


def test_verb_fails_where_nothing_could_be_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("hello")
    place = [str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--key", str(tmp_path / "key"), "--new-key"]
    assert run("import-dicom", place) == 1
    assert "imported: cases 0, masks 0, subjects 0" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
