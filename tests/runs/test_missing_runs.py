"""Missing modalities, columns and classes in whole runs, as a user starts them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fiducial.cli.command import main, run
from fiducial.errors import InputError
from fiducial.runs import folder
from fiducial.runs.modalities import check_count, subsets

Train = Callable[..., Path]
LATE = ("data=phantom_modalities", "model=late_fusion", "data.channel_dropout=0.4", "data.fill=learned")
INNER = ("model.num_features=4", "model.backbone.widths=[4]")


def table_of(place: Path) -> list[dict[str, str]]:
    with (place / "modalities.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def evaluated(out: Path, *arguments: str) -> Path:
    assert run("evaluate", [str(out), *arguments]) == 0
    return max((out / "evaluations").iterdir(), key=lambda path: path.name)


@pytest.mark.slow
def test_scores_of_every_choice_are_those_of_single_evaluations(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    out = train(*LATE, network=INNER)
    capsys.readouterr()
    place = evaluated(out, "--modalities")
    said = capsys.readouterr().out
    rows = table_of(place)
    assert [row["subset"] for row in rows] == ["channel 0 + channel 1", "channel 0", "channel 1"]
    assert [(row["channel 0"], row["channel 1"]) for row in rows] == [("1", "1"), ("1", "0"), ("0", "1")]
    for row, missing in zip(rows, ("[]", "[1]", "[0]"), strict=True):
        scores = json.loads((evaluated(out, f"data.missing={missing}") / "scores.json").read_text())["scores"]
        for name in ("auroc", "accuracy"):
            found = [float(row[f"{name}{part}"]) for part in ("", "_low", "_high")]
            assert found == [pytest.approx(scores[name][part]) for part in ("value", "low", "high")]
    whole = json.loads((out / "scores.json").read_text())["scores"]["auroc"]["value"]
    assert float(rows[0]["auroc"]) == pytest.approx(whole)
    assert f"{whole:.3f}" in said
    with Image.open(place / "modalities.png") as picture:
        assert picture.size[0] >= 450
    assert sorted(file.name for file in place.iterdir()) == ["modalities.csv", "modalities.png"]


@pytest.mark.slow
def test_learned_values_move_and_come_back_from_the_checkpoint(train: Train, weights: Any) -> None:
    given = ("data=phantom_modalities", "data.channel_dropout=0.4", "data.fill=learned", "optimizer.lr=0.01")
    out = train(*given)
    learned = weights(out)
    assert {"model.value", "model.together"} < set(learned)
    assert bool((learned["model.value"] != 0).all())
    place = evaluated(out, "data.missing=[0]")
    assert (place / "scores.json").is_file()


@pytest.mark.slow
def test_masks_of_two_modalities(tmp_path: Path) -> None:
    small = ("model.channels=[4,8]", "model.strides=[2]", "model.num_res_units=0")
    given = ("data=phantom_modality_masks", "data.source.num_subjects=20", "data.source.images_per_subject=1")
    common = ("hardware=cpu", "hardware.threads=1", "tracking=none", f"outputs={tmp_path}", "epochs=1")
    assert run("train", [*given, *common, *small, "data.channel_dropout=0.3", "data.fill=learned"]) == 0
    (out,) = tmp_path.glob("runs/*/*")
    rows = table_of(evaluated(out, "--modalities"))
    assert len(rows) == 3
    whole = json.loads((out / "scores.json").read_text())["scores"]["dice"]["value"]
    assert float(rows[0]["dice"]) == pytest.approx(whole)


def test_all_choices_but_none_the_largest_first() -> None:
    assert list(subsets(3)) == [(0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,)]
    assert len(list(subsets(6))) == 63


def test_what_cannot_be_chosen_is_told() -> None:
    with pytest.raises(InputError, match=r"each of 127 choices of 7 channels; up to 6 channels are taken \(63 choices"):
        check_count(7)
    with pytest.raises(InputError, match="needs images of several channels; those of this run have 1"):
        check_count(1)


@pytest.mark.slow
def test_columns_beside_images_from_training_to_evaluation(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("data.source.blank=0.2", "data.source.columns.missing=median", "data.source.columns.indicator=true")
    out = train("data=phantom_table", "model=image_table", *columns, network=INNER)
    spec = folder.config(out).data.spec
    assert list(spec.columns)[:4] == ["age", "marker", "sex=f", "sex=m"]
    assert spec.num_columns == 7
    state = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(state["DataModule"]["encoding"]["fill"]) == {"age", "marker"}
    again = json.loads((evaluated(out) / "scores.json").read_text())["scores"]["auroc"]["value"]
    assert again == pytest.approx(json.loads((out / "scores.json").read_text())["scores"]["auroc"]["value"])
    with pytest.raises(SystemExit):
        main(["evaluate", str(out), "data.source.columns.names=[age,marker]", "data.source.columns.categorical=[]"])
    assert "the run learned from the columns age, marker, sex=f" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["predict", str(out), str(out)])
    assert "columns" in capsys.readouterr().err


def test_a_class_absent_from_training_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["path,label,split"]
    for number in range(12):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16), np.uint8)).save(
            tmp_path / f"{number}.png"
        )
        split = ("train", "train", "val", "test")[number % 4]
        lines.append(f"{number}.png,{'cyst' if number == 3 else 'ab'[number % 2]},{split}")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    given = ("data=table", f"data.source.path={tmp_path / 'cases.csv'}", f"outputs={tmp_path / 'outputs'}")
    options = ("hardware=cpu", "tracking=none", "model.widths=[4]", "data.allow=[near_duplicates]")
    with pytest.raises(SystemExit) as ended:
        main(["train", *given, *options])
    assert ended.value.code == 1
    assert "no training case is of class cyst: nothing can be learned about it" in capsys.readouterr().err
