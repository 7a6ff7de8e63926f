from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fiducial.cli.command import main
from fiducial.config import compose
from fiducial.data.phantom import Phantom
from fiducial.errors import InputError
from fiducial.reports.inspection.content import Finding, Inspection
from fiducial.reports.inspection.page import page
from fiducial.runs.inspect import inspect


def write_table(folder: Path) -> Path:
    """Write thirty images of two hospitals; one is truncated, one empty, one a copy, one blank."""
    pixels = Phantom(num_subjects=30, images_per_subject=1, size=[32, 32]).pixels()
    assert pixels is not None
    lines = [["path", "label", "subject", "split"]]
    for number, image in enumerate(pixels[:, 0]):
        Image.fromarray(image).save(folder / f"{number:02d}.png")
        lines.append(
            [f"{number:02d}.png", ("<ill>", "well")[number % 2], f"s{number}", ("train", "val", "test")[number % 3]]
        )
    (folder / "29.png").write_bytes((folder / "04.png").read_bytes())
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:200])
    (folder / "06.png").write_bytes(b"")
    Image.new("L", (40, 32), 9).save(folder / "07.png")
    with (folder / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder / "cases.csv"


def inspected(*overrides: str, pictures: bool = False) -> Inspection:
    composed = compose(overrides)
    return inspect(composed.cfg, composed.choices["data"], pictures=pictures)


def test_corrupt_files_are_named_and_the_rest_is_told(tmp_path: Path) -> None:
    seen = inspected("data=table", f"data.source.path={write_table(tmp_path)}", f"outputs={tmp_path}")
    found = {finding.title: finding for finding in seen.findings}
    corrupt = found["images that cannot be read"]
    assert [item.split(":")[0] for item in corrupt.items] == ["case 05.png", "case 06.png"]
    assert corrupt.stops
    copied, contrary = found["equal images in different splits"], found["equal images with different labels"]
    assert (copied.items, copied.name) == (["04.png (val) = 29.png (test)"], "exact_duplicates")
    assert (contrary.items, contrary.name) == (["04.png (label 0) = 29.png (label 1)"], "conflicting_labels")
    assert found["blank images"].items == ["07.png"]
    assert not found["blank images"].stops


def test_counts_sizes_and_intensities_are_those_of_the_files(tmp_path: Path) -> None:
    seen = inspected("data=table", f"data.source.path={write_table(tmp_path)}", f"outputs={tmp_path}")
    sheets = {sheet.title: sheet for sheet in seen.sheets}
    assert list(sheets["Splits"].heads) == ["", "train", "val", "test", "all"]
    assert [tuple(row) for row in sheets["Splits"].rows[:2]] == [
        ("cases", "10", "10", "10", "30"),
        ("subjects", "10", "10", "10", "30"),
    ]
    assert sheets["Sizes"].rows == [("32 × 32", "27"), ("32 × 40", "1")]
    (row,) = sheets["Intensities"].rows
    whole = [n for n in range(30) if n not in (5, 6)]
    images = [np.asarray(Image.open(tmp_path / f"{n:02d}.png").resize((32, 32))) for n in whole]
    assert float(row[1]) == min(image.min() for image in images)
    assert float(row[5]) == max(image.max() for image in images)
    assert float(row[6]) == pytest.approx(np.mean(images), rel=0.02)


def test_spacing_and_pixels_of_classes_of_volumes(tmp_path: Path) -> None:
    options = ("data.source.num_subjects=6", "data.source.size=[8,16,16]", "data.source.spacing=[3,1,1]")
    seen = inspected("data=phantom_segmentation_3d", *options, f"outputs={tmp_path}", pictures=True)
    sheets = {sheet.title: sheet for sheet in seen.sheets}
    assert sheets["Spacing"].rows == [("3 × 1 × 1", "6")]
    shares = [float(row[-1].split("%")[0]) for row in sheets["Splits"].rows[2:]]
    assert sum(shares) == pytest.approx(100, abs=0.05)
    (strip,) = seen.montage
    assert len(strip[1]) == 6


def test_boxes_where_a_split_is_empty(tmp_path: Path) -> None:
    lines = ["path,split,x_min,y_min,x_max,y_max,label"]
    for number, split in enumerate(["train", "train", "val"]):
        Image.fromarray(np.full((16, 16), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
        lines += [f"{number}.png,{split},1,2,5,6,a", f"{number}.png,{split},7,8,9,10,b"]
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    seen = inspected("data=box_table", f"data.source.path={tmp_path / 'cases.csv'}", f"outputs={tmp_path}")
    (sheet,) = (sheet for sheet in seen.sheets if sheet.title == "Splits")
    assert [tuple(row) for row in sheet.rows[2:]] == [
        ("a", "2 (2)", "1 (1)", "0 (0)", "3 (3)"),
        ("b", "2 (2)", "1 (1)", "0 (0)", "3 (3)"),
    ]


def test_the_page_is_whole_escaped_and_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"data.source.path={write_table(tmp_path)}"
    with pytest.raises(SystemExit) as ended:
        main(["inspect", "data=table", source, f"outputs={tmp_path}", "--html", str(tmp_path / "page.html")])
    assert ended.value.code == 0
    page = (tmp_path / "page.html").read_text()
    assert "&lt;ill&gt;" in page
    assert "<ill>" not in page
    for outside in ("http:", "https:", "<script", "<link", "url("):
        assert outside not in page
    assert page.count("<figure") == page.count('src="data:image/png;base64,') > 10
    said = capsys.readouterr().out
    assert "images that cannot be read: 2" in said
    assert "06.png: the image file is empty" in said.replace("\n", " ")


def test_a_folder_that_is_not_there_is_told_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", "--html", "/none/such/page.html"])
    assert ended.value.code == 1
    assert "there is no folder /none/such" in capsys.readouterr().err


def test_what_is_allowed_is_told_as_allowed(tmp_path: Path) -> None:
    options = "data=table", f"data.source.path={write_table(tmp_path)}", f"outputs={tmp_path}"
    seen = inspected(*options, "data.allow=[exact_duplicates]")
    stops = {finding.title: finding.stops for finding in seen.findings}
    assert stops["equal images in different splits (allowed by data.allow)"] is False
    assert stops["equal images with different labels"] is True


def test_cases_without_label_are_looked_at_all_the_same(tmp_path: Path) -> None:
    """As they come out of an import: a few have a label or none has, and two patients may be all there are."""
    for name, labels in (("bare", ["", ""]), ("part", ["", "ill", "well", "", "", "ill"])):
        for number in range(len(labels)):
            pixels = np.random.default_rng(number).integers(0, 200, (20, 24), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        Image.open(tmp_path / "0.png").save(tmp_path / "1.png")
        lines = [f"{number}.png,{label}" for number, label in enumerate(labels)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,label", *lines]))
    composed = {
        name: compose(["data=table", f"data.source.path={tmp_path / name}.csv"], look_only=True)
        for name in ("bare", "part")
    }
    seen = {name: inspect(each.cfg, name) for name, each in composed.items()}
    found = {name: {each.title: each for each in inspection.findings} for name, inspection in seen.items()}
    assert found["bare"]["cases without label"].items == ["0.png", "1.png"]
    assert found["bare"]["cases without label"].stops
    assert found["part"]["cases without label"].items == ["0.png", "3.png", "4.png"]
    assert "equal images with different labels" not in found["part"]
    sheets = {sheet.title: sheet for sheet in seen["part"].sheets}
    assert sheets["Splits"].heads[-1] == "all"
    assert {row[0]: row[-1] for row in sheets["Splits"].rows} == {
        "cases": "6", "subjects": "6", "ill": "2 (33%)", "well": "1 (17%)",
    }  # fmt: skip
    assert sheets["Sizes"].rows == [("20 × 24", "6")]
    assert [(name, len(pictures)) for name, pictures in seen["part"].montage] == [
        ("without label", 3),
        ("ill", 2),
        ("well", 1),
    ]
    with pytest.raises(InputError, match=r"bare\.csv: column 'label' is empty in all 2 lines"):
        compose(["data=table", f"data.source.path={tmp_path / 'bare.csv'}"])


def test_a_comma_in_a_class_does_not_make_two_of_it(tmp_path: Path) -> None:
    table = write_table(tmp_path)
    table.write_text(table.read_text().replace("<ill>", '"normal, benign"'))
    facts = dict(inspected("data=table", f"data.source.path={table}", f"outputs={tmp_path}").facts)
    assert next(csv.reader([facts["classes"]], skipinitialspace=True)) == ["normal, benign", "well"]


def test_the_page_counts_after_a_colon_and_breaks_ids_between_their_parts() -> None:
    finding = Finding("nearly equal images (allowed by data.allow)", ["set/train_0012 ≈ set/test_0345"] * 2)
    shown = page(Inspection("a", [], [], [finding], []))
    assert "(allowed by data.allow): <b>2</b>" in shown
    assert "set/<wbr>train_<wbr>0012 ≈ set/<wbr>test_<wbr>0345" in shown
