"""The examples of a source and a model of one's own run as the guide prints them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fiducial.cli.command import run
from fiducial.errors import InputError

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
OPTIONS = ("debug=fast", "hardware=cpu", "hardware.threads=1", "tracking=none", "outputs=outputs")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The guide's files in the current folder, and pictures of twelve patients."""
    for name, text in re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", GUIDE.read_text(), re.M | re.S):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "moles").mkdir()
    draw = np.random.default_rng(0)
    for number in range(24):
        pixels = draw.integers(0, 255, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(
            tmp_path / "moles" / f"P{number // 2:02d}_{('well', 'ill')[number // 2 % 2]}_{number}.png"
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in ("moles", "my_networks"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_source_and_model_of_the_guide(place: Path) -> None:
    assert run("train", ["--config-dir", "mine", "data=moles", "model=tiny", f"data_dir={place}", *OPTIONS]) == 0
    (out,) = place.glob("outputs/runs/*/*")
    assert json.loads((out / "scores.json").read_text())["cases"] >= 1
    subjects = [line.split(",") for line in (out / "splits.csv").read_text().splitlines()]
    assert len(subjects) == 25
    assert run("inspect", ["--config-dir", "mine", "data=moles", f"data_dir={place}"]) == 0


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            'return {"sha256": hashlib.sha256(content).hexdigest()}',
            "return hashlib.sha256(content).hexdigest()",
            r"^moles\.Moles\.fingerprint: expected a mapping such as \{'sha256': …\}, .* got str$",
        ),
        ('{"sha256"', '{"md5"', r"^moles\.Moles\.fingerprint: expected a mapping .* got \{'md5'"),
        (
            "return Cases(",
            "return list, (",
            r"^moles\.Moles\.cases: expected a fiducial\.data\.source\.Cases, got tuple",
        ),
        ("return Spec(", "return dict(", r"^moles\.Moles\.spec: expected a fiducial\.data\.source\.Spec .*got dict"),
        ("split, label)", "split, label[1:])", r"\.cases\.label: .*an entry for each of 24 cases, got 23"),
        ("split, label)", "split, list(label))", r"\.cases\.label: expected a NumPy array of integers, got a list"),
        ("split, label)", "split, label / 2)", r"\.cases\.label: .* of integers, got an array of float64"),
        (
            "class Moles(Source)",
            "class Moles",
            r"expected a subclass of fiducial\.data\.source\.Source, got moles\.Moles",
        ),
    ],
    ids=["fingerprint", "no hash", "cases", "spec", "length", "list", "kind", "class"],
)
@pytest.mark.slow
def test_what_a_source_must_not_return_is_told_by_class_and_method(
    place: Path, before: str, after: str, message: str
) -> None:
    text = (place / "moles.py").read_text()
    assert before in text
    (place / "moles.py").write_text(text.replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        run("train", ["--config-dir", "mine", "data=moles", f"data_dir={place}", *OPTIONS])
