"""The pieces of Python and the options of the recipes run as the page prints them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fiducial.cli.command import run

PAGE = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text()
FILES = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", PAGE, re.M | re.S)
SCRIPTS = re.findall(r"^```python\n(?!# \S+\n)(.*?)^```$", PAGE, re.M | re.S)
SMALL = ("data.source.num_subjects=24", "data.source.images_per_subject=2", "model.widths=[4]")
QUICK = (*SMALL, "epochs=1", "hardware=cpu", "hardware.threads=1", "tracking=none")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's files in the current folder, and a run."""
    place = tmp_path_factory.mktemp("recipes")
    for name, text in FILES:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(sys, "path", [str(place), *sys.path])
        assert run("train", [*QUICK]) == 0
        yield place
    for name, _ in FILES:
        sys.modules.pop(Path(name).stem, None)


def runs(place: Path) -> list[Path]:
    return sorted(place.glob("outputs/runs/*/*"), key=lambda path: path.stat().st_mtime)


def script(part: str, place: Path) -> str:
    (found,) = (text for text in SCRIPTS if part in text)
    return found.replace("WHEN", runs(place)[0].name)


def test_all_pieces_are_tested() -> None:
    assert len(FILES) == 7
    assert len(SCRIPTS) == 4


@pytest.mark.parametrize("part", ["class_probabilities(", "torch.export.export", "def brier("])
def test_what_is_done_with_a_run(part: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(script(part, place), part, "exec"), {"__name__": "recipe"})
    said = capsys.readouterr().out
    assert ("95 % interval" in said) == ("brier" in part)
    assert ("'lesion': 0." in said) == ("class_probabilities" in part)


def test_own_weights_loss_metric_and_augmentation(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = runs(place)[0].relative_to(place)
    own = ["--config-dir", "mine", "model=from_run", f"model.run={start}", "loss=poly1", "loss.weight=balanced"]
    own += ["task._target_=my_tasks.WithKappa", "objective=val/kappa", "augment=erase"]
    assert run("train", [*own, *(line for line in QUICK if "widths" not in line)]) == 0
    assert f"from {start}: 6 tensors; random: none" in capsys.readouterr().out
    out = runs(place)[-1]
    assert json.loads((out / "scores.json").read_text())["objective"]["name"] == "val/kappa"


def test_a_run_from_python_has_what_its_callback_logged(place: Path) -> None:
    text = script("class GradientNorm", place)
    small = ", ".join(f'"{line}"' for line in (*SMALL, "epochs=1", "hardware.threads=1", "tracking=none"))
    asked = text.replace('"epochs=2", ', "").replace('"study=callbacks"', f'"study=callbacks", {small}')
    assert asked != text
    exec(compile(asked, "callback", "exec"), {"__name__": "recipe"})
    journal = (runs(place)[-1] / "tracking" / "journal.jsonl").read_text()
    assert "train/gradient_norm" in journal
    assert "network.txt" in journal
