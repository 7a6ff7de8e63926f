"""A detection run as a user starts it: boxes in the files' own pixels, scores that follow from them, maps."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fiducial.cli.command import run
from fiducial.data.box_table import BoxTable
from fiducial.data.boxes import xyz
from fiducial.metrics.boxes import CaseBoxes
from fiducial.metrics.detection import DetectionScorer

TINY = ("hardware=cpu", "hardware.threads=1", "tracking=none", "tracking.system_metrics_seconds=0")
SMALL = ("model.backbone.widths=[6,8]", "model.num_features=8", "model.head_width=8", "optimizer.lr=0.01")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def trained(place: Path, *given: str, network: tuple[str, ...] = SMALL) -> Path:
    assert run("train", [*TINY, *network, f"outputs={place}", *given]) == 0
    return max(place.glob("runs/*/*"), key=lambda path: path.stat().st_mtime)


def write_squares(folder: Path, count: int = 24) -> None:
    """Write pictures of 40 rows and 56 columns with bright squares in half of them, and tables of these."""
    images, boxes = ["path,subject"], ["path,x_min,y_min,x_max,y_max"]
    draw = np.random.default_rng(0)
    for number in range(count):
        picture = np.kron(draw.integers(0, 70, (10, 14)), np.ones((4, 4), int))
        for _ in range(number % 2):
            x, y = draw.integers(0, 40), draw.integers(0, 28)
            picture[y : y + 12, x : x + 12] += 180
            boxes.append(f"{number}.png,{x},{y},{x + 12},{y + 12}")
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
        images.append(f"{number}.png,p{number}")
    (folder / "images.csv").write_text("\n".join(images))
    (folder / "boxes.csv").write_text("\n".join(boxes))


def of_table(folder: Path, **options: str) -> list[str]:
    given = {"path": str(folder / "images.csv"), "boxes": str(folder / "boxes.csv"), **options}
    return ["data=box_table", *(f"data.source.{name}={value}" for name, value in given.items())]


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def as_case(entry: dict[str, Any]) -> CaseBoxes:
    """Return a case of `detections.json` as the metrics take it."""
    found, truth = (np.array([box["pixels"] for box in entry[name]]).reshape(-1, 4) for name in ("found", "truth"))
    score = np.array([box["score"] for box in entry["found"]])
    zeros = np.zeros(len(found), np.int64), np.zeros(len(truth), np.int64)
    return CaseBoxes(found, score, zeros[0], truth, zeros[1])


@pytest.mark.slow
def test_pictures_from_training_to_prediction(tmp_path: Path) -> None:
    write_squares(tmp_path)
    given = of_table(tmp_path, size="[48,48]", policy="fit")
    out = trained(tmp_path / "outputs", *given, "epochs=12", "augment=flip", "data.batch_size=4")
    content, scores = read(out / "detections.json"), read(out / "scores.json")
    source = BoxTable(path=tmp_path / "images.csv", boxes=tmp_path / "boxes.csv")
    row_of = {case: row for row, case in enumerate(source.cases.case.tolist())}
    assert len(content["cases"]) == len(source.cases.where("test"))
    for entry in content["cases"]:
        expected = xyz(source.truth(row_of[entry["case"]]).corners)
        np.testing.assert_allclose([box["pixels"] for box in entry["truth"]] or np.zeros((0, 4)), expected, atol=1e-3)
        assert entry["size"] == [56, 40]
    # what the file says gives the scores that were told, and squares this bright are found
    again = DetectionScorer([as_case(entry) for entry in content["cases"]], ["lesion"])()
    for name in ("cpm", "map", "map_10", "image_auroc", "sensitivity_at_1"):
        assert scores["scores"][name]["value"] == pytest.approx(again[name][0], abs=1e-6), name
    assert scores["scores"]["cpm"]["value"] > 0.8
    assert scores["hit"] == "centre"
    assert scores["threshold"] == pytest.approx(content["threshold"], abs=1e-5)
    with (out / "case_scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["case"] for line in lines] == [entry["case"] for entry in content["cases"]]
    assert {file.name for file in (out / "figures").iterdir()} == {"learning_curves.png", "boxes.png", "froc.png"}

    assert run("evaluate", [str(out)]) == 0
    (place,) = (out / "evaluations").iterdir()
    assert (place / "detections.json").read_text() == (out / "detections.json").read_text()

    assert run("evaluate", [str(out), "task.threshold=0.9"]) == 0
    newest = max((out / "evaluations").iterdir(), key=lambda path: path.name)
    assert read(newest / "scores.json")["threshold"] == pytest.approx(0.9)

    files = [str(tmp_path / entry["case"]) for entry in content["cases"][:2]]
    assert run("predict", [str(out), *files, "--to", str(tmp_path / "new.csv")]) == 0
    new = read(tmp_path / "new" / "detections.json")
    for entry, before in zip(new["cases"], content["cases"], strict=False):
        assert len(entry["found"]) == len(before["found"])
        for box, other in zip(entry["found"], before["found"], strict=True):
            assert box["score"] == pytest.approx(other["score"], abs=1e-4)
            np.testing.assert_allclose(box["pixels"], other["pixels"], atol=0.01)
    table = pd.read_csv(tmp_path / "new.csv")
    called = [sum(box["score"] >= scores["threshold"] for box in entry["found"]) for entry in new["cases"]]
    assert table["boxes"].tolist() == called
    assert all(Path(picture).is_file() for picture in table["picture"])


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    given = ("data=phantom_boxes", "data.source.num_subjects=12", "data.source.size=[32,32]", "augment=light")
    whole = trained(tmp_path / "whole", *given, "epochs=3")
    part = trained(tmp_path / "part", *given, "epochs=2")
    config = (part / "config.yaml").read_text()
    (part / "config.yaml").write_text(config.replace("epochs: 2", "epochs: 3"))
    (part / "scores.json").unlink()
    assert run("train", [f"resume={part}"]) == 0
    ends = [torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for out in (whole, part)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert "operating" in ends[0]


@pytest.mark.slow
def test_volumes_are_drawn_in_three_planes(tmp_path: Path) -> None:
    given = ("data=phantom_boxes_3d", "data.source.num_subjects=15", "data.source.size=[8,16,16]", "epochs=1")
    out = trained(tmp_path / "outputs", *given, "data.source.num_kinds=2", "task.hit=0.1")
    scores = read(out / "scores.json")["scores"]
    assert {"cpm/disc", "ap_50/ring", "map_10"} < set(scores)
    entry = read(out / "detections.json")["cases"][0]
    assert all(len(box["pixels"]) == len(box["mm"]) == 6 for box in entry["found"])
    assert (out / "figures" / "boxes.png").stat().st_size > 10_000
    other = trained(tmp_path / "outputs", *given, "data.source.num_kinds=2", "task.hit=0.1", "task.max_boxes=5")
    assert run("compare", [str(out), str(other), "--csv", str(tmp_path / "compared.csv")]) == 0
    assert set(pd.read_csv(tmp_path / "compared.csv")["metric"]) == {"sensitivity"}


@pytest.mark.slow
def test_a_classifier_is_asked_where_it_looked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained on labels of images alone, its maps point at the squares that make the difference."""
    write_squares(tmp_path, 40)
    labels = ["task=classification", "model=plain_cnn", "loss=cross_entropy"]
    given = [*of_table(tmp_path, target="binary", size="[40,56]"), *labels]
    network = ("model.widths=[8,8]", "model.dense=[]", "model.pooling=average", "optimizer.lr=0.01")
    out = trained(tmp_path / "outputs", *given, "epochs=15", "data.batch_size=8", network=network)
    assert run("evaluate", [str(out), "--explain"]) == 0
    (place,) = (out / "evaluations").iterdir()
    found = read(place / "localisation.json")["scores"]
    assert found["pointing_game"]["value"] > 2 * found["pointing_by_chance"]["value"]
    assert found["pointing_by_chance"]["value"] == pytest.approx(144 / (40 * 56))
    assert "pointing game" in capsys.readouterr().out
    assert (place / "figures" / "activation.png").is_file()
    assert run("predict", [str(out), str(tmp_path / "1.png"), "--to", str(tmp_path / "new.csv"), "--explain"]) == 0
    (picture,) = pd.read_csv(tmp_path / "new.csv")["picture"]
    assert Path(picture).is_file()


@pytest.mark.slow
def test_only_classifiers_are_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from fiducial.cli.command import main

    out = trained(
        tmp_path / "o", "data=phantom_boxes", "data.source.num_subjects=8", "data.source.size=[16,16]", "epochs=1"
    )
    for arguments, message in (
        (["evaluate", str(out), "--explain"], "--explain is for classifiers of single images; this run learned boxes"),
        (["predict", str(out), "a.png", "--explain"], "this run learned boxes"),
        (["evaluate", str(out), "--layer", "heat"], "--layer says what --explain maps"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert message in capfd.readouterr().err
    assert not (out / "evaluations").exists()


def test_a_box_outside_its_image_ends_the_run_with_its_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from fiducial.cli.command import main

    write_squares(tmp_path, 12)
    with (tmp_path / "boxes.csv").open("a") as file:
        file.write("\n5.png,50,3,70,9")
    with pytest.raises(SystemExit) as ended:
        main(["train", *TINY, *SMALL, *of_table(tmp_path), f"outputs={tmp_path / 'o'}", "epochs=1"])
    said = capfd.readouterr().err
    assert ended.value.code == 1
    assert "boxes.csv, line 8: case 5.png: the box (x 50 to 70, y 3 to 9) in pixels reaches out of its image of" in said
    assert "Traceback" not in said
