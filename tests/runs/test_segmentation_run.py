"""A segmentation run as a user starts it: masks on their own grids, scores that follow from them, pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score

from fiducial.cli.command import main, run
from fiducial.data.phantom_masks import PhantomMasks
from fiducial.errors import InputError

VOLUMES = {"num_subjects": 15, "images_per_subject": 1, "size": [16, 24, 24], "organs": True}
TINY = ("hardware=cpu", "hardware.threads=1", "tracking=none", "tracking.system_metrics_seconds=0")
SMALL = ("model.channels=[4,8]", "model.strides=[2]", "model.num_res_units=0", "optimizer.lr=0.01")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def overrides(**options: Any) -> list[str]:
    return [f"data.source.{name}={str(value).replace(' ', '')}" for name, value in options.items()]


def trained(place: Path, *given: str) -> Path:
    assert run("train", [*TINY, *SMALL, f"outputs={place}", *given]) == 0
    return max(place.glob("runs/*/*"), key=lambda path: path.stat().st_mtime)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_volumes_from_training_to_prediction(tmp_path: Path) -> None:
    """Prepared in another orientation and spacing, predicted and scored on the grid of the case."""
    given = ("data=phantom_segmentation_3d", *overrides(**VOLUMES), "epochs=2", "task.flips=[0]")
    out = trained(tmp_path / "outputs", *given, "data.patches.size=[16,16,16]")
    source = PhantomMasks(**VOLUMES)
    row_of = {case: row for row, case in enumerate(source.cases.case.tolist())}
    found = rows(out / "case_scores.csv")
    assert [line["split"] for line in found] == ["test"] * len(source.cases.where("test"))
    for line in found:
        sample = source.sample(row_of[line["case"]])
        volume: Any = nibabel.load(out / "predictions" / f"{line['case'].replace('/', '_')}.nii.gz")
        mask = np.asarray(volume.dataobj)
        assert sample.mask is not None
        assert mask.shape == sample.mask.shape
        np.testing.assert_allclose(volume.affine, sample.affine)
        for number, name in enumerate(source.spec.classes[1:], start=1):
            truth, predicted = (sample.mask == number).ravel(), (mask == number).ravel()
            expected = f1_score(truth, predicted) if truth.any() or predicted.any() else None
            assert (float(line[f"dice/{name}"]) if line[f"dice/{name}"] else None) == pytest.approx(expected)
    scores = json.loads((out / "scores.json").read_text())
    assert set(scores["postprocessing"]) == {"left organ", "right organ", "lesion"}
    column = [float(line["hd95/left organ"]) for line in found]
    interval = scores["scores"]["hd95/left organ"]
    assert interval["value"] == pytest.approx(np.mean(column))
    assert interval["low"] <= interval["value"] <= interval["high"]
    figures = {file.name for file in (out / "figures").iterdir()}
    assert figures == {"learning_curves.png", "class_scores.png", "overlays.png", "planes.png"}

    assert run("evaluate", [str(out)]) == 0
    (again,) = (out / "evaluations").iterdir()
    assert (again / "case_scores.csv").read_text() == (out / "case_scores.csv").read_text()
    assert len(list((again / "predictions").iterdir())) == len(found)

    sample = source.sample(row_of[found[0]["case"]])
    nibabel.save(nibabel.Nifti1Image(sample.image[0], sample.affine), tmp_path / "new.nii.gz")
    given = ["predict", str(out), str(tmp_path / "new.nii.gz"), "--to"]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.nii.gz").touch()
    (tmp_path / "plain").touch()
    for to, message in {
        "plain.csv": "plain would be the folder for the pictures beside the table, and is a file",
        "table": "expected a file with an ending, such as",
        "missing/table.csv": "there is no folder",
        "taken.csv": "taken is there already: name another table",
    }.items():
        with pytest.raises(InputError, match=message):
            run(given[0], [*given[1:], str(tmp_path / to)])
    assert not (tmp_path / "table").exists()
    with pytest.raises(InputError, match="among the images"):
        run("predict", [str(out), str(tmp_path / "taken"), "--to", str(tmp_path / "taken.csv"), "--overwrite"])
    assert run(given[0], [*given[1:], str(tmp_path / "table.csv")]) == 0
    table = pd.read_csv(tmp_path / "table.csv")
    mask = np.asarray(nibabel.load(table["mask"][0]).dataobj)
    before = nibabel.load(out / "predictions" / f"{found[0]['case'].replace('/', '_')}.nii.gz")
    assert table["left organ (ml)"][0] == pytest.approx((mask == 1).sum() * 2.0 / 1000)
    assert (mask == np.asarray(before.dataobj)).mean() > 0.99

    (tmp_path / "several").mkdir()
    spoilt = np.array(sample.image[0], np.float32)
    spoilt[0, 0, 0] = np.nan
    for name, volume in {"p.01": sample.image[0], "p.02": spoilt, "p.03": sample.image[0]}.items():
        nibabel.save(nibabel.Nifti1Image(volume, sample.affine), tmp_path / "several" / f"{name}.nii.gz")
    assert run("predict", [str(out), str(tmp_path / "several"), "--to", str(tmp_path / "volumes.csv")]) == 1
    lines = rows(tmp_path / "volumes.csv")
    assert [Path(line["mask"]).name for line in lines if line["mask"]] == ["p.01.nii.gz", "p.03.nii.gz"]
    assert ["1 of" in line["error"] and "NaN or infinite" in line["error"] for line in lines].count(True) == 1

    (out / "scores.json").rename(tmp_path / "scores.json")
    with pytest.raises(InputError, match=r"task\.postprocessing is chosen in the run's test, which has not been"):
        run(given[0], [*given[1:], str(tmp_path / "early.csv")])


def make_drive(folder: Path) -> None:
    """Write the layout of DRIVE with small pictures: a bright line over dark patches, in a square field of view."""
    view = np.zeros((32, 40), np.uint8)
    view[2:30, 3:37] = 255
    for part, numbers in (("training", range(21, 41)), ("test", range(1, 21))):
        for number in numbers:
            line = np.zeros((32, 40), np.uint8)
            line[5 + number % 20] = 255
            ground = np.kron(np.random.default_rng(number).integers(10, 80, (8, 10)), np.ones((4, 4)))
            picture = np.repeat(((line > 0) * 150 + ground)[..., None], 3, axis=2).astype(np.uint8)
            names = [("images", f"{number:02d}_{part}.tif", picture), ("mask", f"{number:02d}_{part}_mask.gif", view)]
            names.append(("1st_manual", f"{number:02d}_manual1.gif", line))
            names += [("2nd_manual", f"{number:02d}_manual2.gif", np.roll(line, 1, 1))] if part == "test" else []
            for kind, name, pixels in names:
                (folder / "DRIVE" / part / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / "DRIVE" / part / kind / name)


@pytest.mark.slow
def test_pictures_with_a_second_observer(tmp_path: Path) -> None:
    make_drive(tmp_path)
    given = ("data=drive", f"data_dir={tmp_path}", "data.patches.size=[16,16]", "data.patches.window=[32,40]")
    out = trained(tmp_path / "outputs", *given, "epochs=8", "augment=fundus", "data.patches.per_case=4")
    found = rows(out / "case_scores.csv")
    assert len(found) == 20
    for line in found[:3]:
        with Image.open(out / "predictions" / f"{line['case']}.png") as picture:
            mask = np.asarray(picture)
        truth = np.zeros((32, 40), bool)
        truth[5 + int(line["case"]) % 20] = True
        inside = np.zeros((32, 40), bool)
        inside[2:30, 3:37] = True
        assert mask.shape == (32, 40)
        assert float(line["dice"]) == pytest.approx(f1_score(truth[inside], mask[inside] == 1))
    scores = json.loads((out / "scores.json").read_text())
    assert scores["scores"]["dice"]["value"] > 0.8
    second = rows(out / "case_scores_second_observer.csv")
    assert "auroc" in found[0]
    assert "auroc" not in second[0]
    assert {float(line["dice"]) for line in second} == {1.0}  # a line shifted along itself, inside the field of view
    assert scores["observers"]["second observer"]["dice"]["value"] == 1.0
    assert {"overlays.png", "class_scores.png"} < {file.name for file in (out / "figures").iterdir()}


@pytest.mark.slow
def test_a_run_that_was_interrupted_ends_with_the_same_weights(tmp_path: Path) -> None:
    given = ("data=phantom_segmentation", "data.source.num_subjects=12", "data.source.size=[16,16]")
    patches = ("data.patches.size=[8,8]", "data.patches.window=[16,16]", "data.patches.per_case=3", "augment=fundus")
    network = ("model=wnet", "~model.channels", "~model.strides", "~model.num_res_units")
    common = (*given, *patches, *network, "task.postprocessing=none", "task.scores=[dice]")
    whole = trained(tmp_path / "whole", *common, "epochs=3")
    part = trained(tmp_path / "part", *common, "epochs=2")
    config = (part / "config.yaml").read_text()
    (part / "config.yaml").write_text(config.replace("epochs: 2", "epochs: 3"))
    (part / "scores.json").unlink()
    assert run("train", [f"resume={part}"]) == 0
    ends = [torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for out in (whole, part)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_volume_that_is_cut_off_ends_the_run_with_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], status: Callable[[Path], str]
) -> None:
    root = tmp_path / "raw"
    for number in range(6):
        source = PhantomMasks(num_subjects=6, size=[8, 8, 8], images_per_subject=1)
        sample = source.sample(number)
        assert sample.mask is not None
        mask = sample.mask.copy()
        mask[3:5, 3:5, 3:5] = 1
        for folder, name, values in (
            ("imagesTr", f"c{number}_0000", sample.image[0]),
            ("labelsTr", f"c{number}", mask),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, sample.affine), root / folder / f"{name}.nii.gz")
    labels = {"background": 0, "lesion": 1}
    content = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 6, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(content))
    broken = root / "imagesTr" / "c4_0000.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-40])
    given = [
        "data=nnunet_raw",
        f"data.source.root={root}",
        "data.patches.size=[16,16,16]",
        f"outputs={tmp_path / 'out'}",
    ]
    with pytest.raises(SystemExit) as ended:
        main(["train", *TINY, *SMALL, *given])
    said = capfd.readouterr().err
    assert ended.value.code == 1
    assert "c4_0000.nii.gz: the volume cannot be read" in said
    assert "Traceback" not in said
    (out,) = (tmp_path / "out").glob("runs/*/*")
    assert status(out) == "FAILED"
