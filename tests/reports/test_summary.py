"""What the end of a run prints."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from rich.console import Console

from fiducial.reports.summary import show_summary, where_next

SCORES = {
    "split": "test",
    "cases": 1200,
    "subjects": 80,
    "loss": 0.30251,
    "scores": {
        "f1": {"value": float("nan"), "low": float("nan"), "high": float("nan")},
        "auroc": {"value": 0.94649, "low": 0.9061, "high": 0.9788},
    },
}


@pytest.fixture
def printed() -> list[str]:
    console = Console(record=True, width=80)
    facts = {"run": "a", "folder": "/outputs/" + "long/" * 30}
    show_summary(facts, SCORES, {"all runs, in a browser": "fiducial ui", "pictures": "ls [x]/figures"}, console)
    return console.export_text().splitlines()


def test_scores_with_intervals_the_usual_ones_first(printed: list[str]) -> None:
    rows = [line.split("│")[1:4] for line in printed if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert cells == [["auroc", "0.946", "0.906 – 0.979"], ["f1", "undefined", "–"], ["loss", "0.303", ""]]
    assert printed[0] == "Scores on the test split: 1,200 cases of 80 subjects"


def said_of(cases: int, subjects: int) -> list[str]:
    console = Console(record=True, width=80)
    show_summary({"run": "a"}, {**SCORES, "cases": cases, "subjects": subjects}, {"pictures": "ls"}, console)
    return console.export_text().splitlines()


def test_intervals_of_few_subjects_come_with_a_warning() -> None:
    def warnings(subjects: int) -> list[str]:
        return [line for line in said_of(40, subjects) if "subject" in line][1:]

    assert warnings(1) == ["one subject has no interval: how much others differ from it is unknown"]
    assert warnings(9) == ["9 subjects: bootstrap intervals of fewer than 10 are too narrow (docs/guide.md)"]
    assert warnings(10) == []


def test_one_case_is_not_called_cases() -> None:
    assert said_of(1, 1)[0] == "Scores on the test split: 1 case of 1 subject"


def test_paths_and_commands_stay_in_one_piece(printed: list[str]) -> None:
    assert "folder  /outputs/" + "long/" * 30 in printed
    assert "all runs, in a browser  fiducial ui" in printed
    assert "pictures                ls [x]/figures" in printed


def test_commands_name_an_outputs_folder_that_is_not_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert where_next(tmp_path / "outputs" / "runs" / "a" / "1")["all runs, in a browser"] == "fiducial ui"
    again = where_next(tmp_path / "outputs" / "runs" / "a" / "1" / "evaluations" / "2")
    assert again["apply it to images"] == "fiducial predict 1 IMAGES"
    elsewhere = where_next(tmp_path / "else" / "runs" / "a" / "1")
    assert elsewhere["all runs, in a browser"] == f"fiducial ui --outputs {tmp_path / 'else'}"
    assert elsewhere["apply it to images"] == f"fiducial predict 1 IMAGES --outputs {tmp_path / 'else'}"
    refused = where_next(tmp_path / "outputs" / "runs" / "a" / "1", predicts=False)
    assert refused["score it on other cases"] == "fiducial evaluate 1 data=…"
    assert "apply it to images" not in refused
    untracked = where_next(tmp_path / "outputs" / "runs" / "a" / "1", tracked=False)
    assert list(untracked) == ["pictures", "apply it to images"]


def test_commands_can_be_pasted_whatever_the_folder_is_called(tmp_path: Path) -> None:
    out = tmp_path / "it's mine (1)" / "runs" / "a" / "1"
    commands = {name: shlex.split(command) for name, command in where_next(out).items()}
    assert commands["pictures"] == ["ls", f"{out}/figures"]
    assert commands["apply it to images"][-2:] == ["--outputs", str(tmp_path / "it's mine (1)")]
