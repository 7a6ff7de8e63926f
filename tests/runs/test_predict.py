"""`fiducial predict` gives for image files what the run gave for the same images as test cases."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fiducial.cli.command import run
from fiducial.errors import InputError
from fiducial.reports.predictions import read_predictions
from fiducial.runs.predict import find_images

SETTINGS = ("data=table", "data.source.size=[16,16]", "data.source.policy=fit", "epochs=1", "objective=val/loss")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Grey images of different sizes; bright ones are of class b."""
    folder = tmp_path / "images"
    folder.mkdir()
    draw = np.random.default_rng(0)
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for split, count in (("train", 12), ("val", 4), ("test", 6)):
            for number in range(count):
                pixels = draw.integers(0, 128, draw.integers(12, 30, 2)) + 100 * (number % 2)
                name = f"images/{split}_{number}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
                writer.writerow([name, "ab"[number % 2], split])
    return path


@pytest.fixture
def trained(tmp_path: Path, table: Path) -> Path:
    place = tmp_path / "outputs"
    options = ("model=lenet", "model.kernel_size=3", "hardware=cpu", "hardware.threads=1", "tracking=none")
    assert run("train", [*SETTINGS, *options, f"data.source.path={table}", f"outputs={place}"]) == 0
    (out,) = place.glob("runs/*/*")
    return out


def test_hidden_files_of_a_folder_are_no_images(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".ipynb_checkpoints/a-checkpoint.png", "inside/b.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images([tmp_path]) == [tmp_path / "a.png", tmp_path / "inside" / "b.JPG"]
    assert find_images([tmp_path / "._a.png"]) == [tmp_path / "._a.png"], "one that is named is taken"


@pytest.mark.slow
def test_files_and_test_cases_agree(trained: Path, table: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    assert run("predict", [str(trained), str(table.parent / "images"), "--to", str(target)]) == 0
    found = pd.read_csv(target)
    assert len(found) == 22
    recorded = read_predictions(trained / "predictions.csv")
    of_file = {Path(name).name: row for name, row in zip(found["file"], found[["p a", "p b"]].to_numpy(), strict=True)}
    for case, probabilities in zip(recorded.case, recorded.probabilities, strict=True):
        np.testing.assert_allclose(of_file[Path(case).name], probabilities, atol=1e-6)
    called = found[["p a", "p b"]].to_numpy().argmax(axis=1)
    assert found["predicted"].tolist() == ["ab"[number] for number in called]


@pytest.mark.slow
def test_other_hardware_than_the_runs(trained: Path, table: Path, tmp_path: Path) -> None:
    """Of a run that another machine trained: one with a device that is not here."""
    config = trained / "config.yaml"
    config.write_text(config.read_text().replace("accelerator: cpu", "accelerator: mps"))
    given = [str(trained), str(table.parent / "images"), "--to", str(tmp_path / "out.csv")]
    with pytest.raises(InputError, match="hardware=cpu fits"):
        run("predict", given)
    assert run("predict", [*given, "hardware=cpu"]) == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 22
    with pytest.raises(InputError, match="expected image files"):
        run("predict", [str(trained), "hardware=cpu"])


@pytest.mark.slow
def test_what_cannot_be_predicted(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        run("predict", [str(trained), str(tmp_path / "missing.png")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no image"):
        run("predict", [str(trained), str(tmp_path / "empty")])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"broken\.png: the image cannot be read"):
        run("predict", [str(trained), str(broken)])
    (trained / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(InputError, match=r"no checkpoint best\.ckpt"):
        run("predict", [str(trained), str(broken)])


@pytest.mark.slow
def test_what_was_done_to_images_and_which_cannot_be_read(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One in colours, one of another size, one that fits, one that is broken; in the order given."""
    draw, target = np.random.default_rng(0), tmp_path / "out.csv"
    for name, shape in (("a", (16, 16)), ("c", (16, 16, 3)), ("d", (40, 30))):
        Image.fromarray(draw.integers(0, 255, shape, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    files = [str(tmp_path / f"{name}.png") for name in "abcd"]
    given = [str(trained), *files, "--to", str(target)]
    assert run("predict", [*given, "--explain"]) == 1
    out, err = capfd.readouterr()
    assert "of 3 images, as in training: 1 resized and padded to 16 × 16 (from 40 × 30); 1 with colours turned" in out
    assert "3 predictions written" in out
    assert f"not predicted: {files[1]}: the image cannot be read" in err
    found = pd.read_csv(target)
    assert found["file"].tolist() == files
    assert found["error"].notna().tolist() == [False, True, False, False]
    assert found["predicted"].isna().tolist() == found["picture"].isna().tolist() == [False, True, False, False]
    before = target.read_bytes()
    with pytest.raises(InputError, match=r"out\.csv is there already: .* by --overwrite"):
        run("predict", given)
    assert target.read_bytes() == before
    assert run("predict", [str(trained), files[0], "--to", str(target), "--overwrite"]) == 0
    again = pd.read_csv(target)
    assert list(again) == ["file", "predicted", "p a", "p b"]
    np.testing.assert_allclose(again["p a"][0], found["p a"][0], atol=1e-6)
    assert "as in training" not in capfd.readouterr().out
