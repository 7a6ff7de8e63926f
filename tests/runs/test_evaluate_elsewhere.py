"""A run scored on data that it did not learn from: another hospital's table."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fiducial.cli.command import run
from fiducial.errors import InputError
from fiducial.runs import folder, outcome

COMMON = ["hardware=cpu", "hardware.threads=1", "tracking=none", "epochs=1", "model.widths=[4]", "model.dense=[8]"]


def table(folder: Path, names: str = "ill well", split: str = "", size: int = 16) -> Path:
    """Write 24 pictures of 12 subjects, of two classes in turn, and their table."""
    folder.mkdir()
    rng, words = np.random.default_rng(0), names.split()
    lines = ["path,label,subject" + (",split" if split else "")]
    for number in range(24):
        image = rng.integers(0, 99, (size, size), np.uint8)
        image[4:9, 4:9] += np.uint8(100 * (number % 2))
        Image.fromarray(image).save(folder / f"{number}.png")
        line = f"{number}.png,{words[number % len(words)]},s{number // 2}"
        lines.append(f"{line},{split}" if split else line)
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on one hospital's table, whose classes are ill and well; balanced class weights."""
    place = tmp_path_factory.mktemp("trained")
    given = ["data=table", f"data.source.path={table(place / 'a')}", "loss.weight=balanced", f"outputs={place / 'o'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome, "draw", lambda *args, **options: {})
        assert run("train", [*COMMON, *given]) == 0
    (out,) = (place / "o").glob("runs/*/*")
    return out


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "draw", lambda *args, **options: {})


def evaluated(out: Path, *given: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return scores and predictions of another evaluation."""
    before = set(out.glob("evaluations/*"))
    assert run("evaluate", [str(out), *given]) == 0
    (place,) = set(out.glob("evaluations/*")) - before
    with (place / "predictions.csv").open() as file:
        return json.loads((place / "scores.json").read_text()), list(csv.DictReader(file))


def test_a_part_is_said_to_be_one(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, rows = evaluated(trained, f"data.source.path={table(tmp_path / 'b')}")
    assert scores["cases"] == len(rows) < 24
    assert f"the test split has {len(rows)} of 24 cases; --split all scores them all" in capsys.readouterr().out


def test_all_cases_of_another_table(trained: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "b")
    scores, rows = evaluated(trained, "data=table", f"data.source.path={path}", "--split", "all")
    assert (scores["cases"], scores["subjects"]) == (24, 12)
    assert sorted(row["case"] for row in rows) == sorted(f"{number}.png" for number in range(24))
    right = np.mean([row["predicted"] == row["label"] for row in rows])
    assert scores["scores"]["accuracy"]["value"] == pytest.approx(right)


def test_a_table_of_test_cases_alone(trained: Path, tmp_path: Path) -> None:
    scores, _ = evaluated(trained, f"data.source.path={table(tmp_path / 'b', split='test')}")
    assert scores["cases"] == 24


def test_a_table_of_one_class_has_the_numbers_of_the_run(trained: Path, tmp_path: Path) -> None:
    _, rows = evaluated(trained, f"data.source.path={table(tmp_path / 'b', names='well')}", "--split", "all")
    assert {row["label"] for row in rows} == {"1"}


def test_other_names_of_classes(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path / "b", names="sick healthy")
    with pytest.raises(InputError, match="label 'sick' is none of the classes ill, well"):
        evaluated(trained, f"data.source.path={path}", "--split", "all")
    given = [f"data.source.path={path}", "data.source.classes=[sick,healthy]", "--split", "all"]
    _, rows = evaluated(trained, *given)
    assert [row["label"] for row in rows if row["case"] in ("0.png", "1.png")] == ["0", "1"]
    assert "classes are taken by their numbers: sick for ill, healthy for well" in capsys.readouterr().out


def test_classes_that_are_not_ascii(trained: Path, tmp_path: Path) -> None:
    out = shutil.copytree(trained, tmp_path / "runs" / "run" / "of_another")
    config = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(config.replace("- ill\n", "- übel\n").replace("- well\n", "- gut, wohl\n"))
    path = table(tmp_path / "b", names="übel")
    found = folder.changed(out, ["data=table", f"data.source.path={path}"])
    assert list(found.data.source.classes) == ["übel", "gut, wohl"]


def test_classes_in_another_order_are_refused(trained: Path, tmp_path: Path) -> None:
    given = [f"data.source.path={table(tmp_path / 'b')}", "data.source.classes=[well,ill]", "--split", "all"]
    with pytest.raises(InputError, match="learned the classes ill, well; these data have well, ill, in that order"):
        evaluated(trained, *given)


def test_images_of_another_size(trained: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "b", size=24)
    with pytest.raises(InputError, match=r"learned images of 16 × 16 with 1 channel, and these are 24 × 24"):
        evaluated(trained, f"data.source.path={path}", "data.source.size=[24,24]", "--split", "all")
    given = f"data.source.path={path}", "--split", "all"
    asked, unasked = evaluated(trained, "data.source.size=[16,16]", *given), evaluated(trained, *given)
    assert asked[0]["cases"] == 24
    assert asked[1] == unasked[1]  # brought to the run's size


def test_columns_are_encoded_as_in_training(tmp_path: Path) -> None:
    """Of another table as well, which has no training split: a copy of the first gives the answers of the first."""
    first = table(tmp_path / "a")
    ages = [f"{line},{'age' if not n else 20 + n}" for n, line in enumerate(first.read_text().splitlines())]
    first.write_text("\n".join(ages) + "\n")
    shutil.copytree(first.parent, tmp_path / "b")
    network = ["model=image_table", "model.backbone.widths=[4]", "model.backbone.dense=[8]", *COMMON[:4]]
    given = ["data=table", f"data.source.path={first}", "data.source.columns.names=[age]", f"outputs={tmp_path / 'o'}"]
    assert run("train", [*network, *given]) == 0
    (out,) = (tmp_path / "o").glob("runs/*/*")
    with (out / "predictions.csv").open() as file:
        own = {row["case"]: row["p_1"] for row in csv.DictReader(file)}
    _, rows = evaluated(out, f"data.source.path={tmp_path / 'b' / 'cases.csv'}", "--split", "all")
    assert len(rows) == 24
    assert {row["case"]: row["p_1"] for row in rows if row["case"] in own} == own


def test_options_that_are_not_there(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data=tabel: there is no such option; did you mean table"):
        evaluated(trained, "data=tabel")
    out = tmp_path / "own"
    shutil.copytree(trained, out)
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"choices": record["choices"] | {"model": "tiny"}}))
    with pytest.raises(InputError, match=r"made with model=tiny, .* folder that --config-dir names"):
        evaluated(out, "hardware.threads=2")


def test_predicting_elsewhere_needs_neither_the_data_nor_options_of_ones_own(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "copied"
    shutil.copytree(trained, out)
    record = json.loads((out / "run.json").read_text())
    moved = [line.replace("/a/cases.csv", "/nowhere.csv") for line in record["overrides"]]
    assert moved != record["overrides"]
    choices = record["choices"] | {"model": "tiny"}
    (out / "run.json").write_text(json.dumps(record | {"choices": choices, "overrides": moved}))
    images, to = table(tmp_path / "new").parent, tmp_path / "predictions.csv"
    (images / "cases.csv").unlink()
    assert run("predict", [str(out), str(images), "--to", str(to), "hardware=cpu_fast", "hardware.threads=2"]) == 0
    assert len(to.read_text().splitlines()) == 25


def test_cases_that_are_not_there(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no case in the split val, of 24 in all"):
        evaluated(trained, f"data.source.path={table(tmp_path / 'b', split='test')}", "--split", "val")
    own = f"data.source.path={trained.parents[3] / 'a' / 'cases.csv'}"
    for given in ([], ["hardware.threads=2"], ["data=table", own]):
        with pytest.raises(InputError, match="--split all is for data that the run did not learn from"):
            evaluated(trained, *given, "--split", "all")
