"""Raw DICOM files whose names or subjects are those of patients: no run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import made_up, write
from PIL import Image

from fiducial.config import compose
from fiducial.data.dicom.guard import held, is_dicom, told_by
from fiducial.errors import InputError

IMAGE = np.arange(256, dtype=np.uint8).reshape(16, 16)
SECRET = ("quimby", "zelda", "7741902")


def raw(folder: Path, name: str, number: int = 0, **values: Any) -> Path:
    return write(made_up(IMAGE // 2 + number, number=number, **values), folder / name)


def table(folder: Path, name: str = "img{}.dcm", subject: str = "s{}", heads: str = "a,b", **values: Any) -> Path:
    """Write six DICOM files of one patient and a table of them, each a subject of its own."""
    lines = ["path,subject,split,label"]
    for number, split in enumerate(["train", "train", "val", "val", "test", "test"]):
        file = raw(folder, name.format(number), number, **values)
        lines.append(f"{file.relative_to(folder)},{subject.format(number)},{split},{heads.split(',')[number % 2]}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


def overrides(path: Path, *more: str) -> list[str]:
    return ["data=table", f"data.source.path={path}", *more]


def refused(*lines: str) -> str:
    with pytest.raises(
        InputError, match=r"of a DICOM file, and would be logged.*import-dicom.*allow=\[identifiers\]"
    ) as e:
        compose(lines)
    message = str(e.value)
    assert not [word for word in SECRET if word in message.lower()]
    return message


@pytest.mark.parametrize(
    ("place", "attribute"),
    [
        ({"subject": "MRN-7741902"}, "PatientID"),
        ({"subject": "mrn 7741902 ({})"}, "PatientID"),
        ({"subject": "Zelda {}"}, "a word of the PatientName"),
        ({"name": "quimby_zelda/{}.dcm"}, "PatientName"),
        ({"name": "ZeldaQuimby{}.dcm"}, "PatientName"),
        ({"name": "x/MRN7741902/{}"}, "PatientID"),
        ({"name": "2021-03-04/{}.dcm"}, "StudyDate"),
        ({"name": "1.2.276.0.7230010.3.55555.3.1.{}.dcm"}, "SOPInstanceUID"),
    ],
)
def test_paths_and_subjects_of_a_table(tmp_path: Path, place: dict[str, str], attribute: str) -> None:
    message = refused(*overrides(table(tmp_path, **place)))
    assert message.startswith("the path or subject of case 1, 2, 3, 4, 5 and 1 more (counted from 1) holds ")
    what = attribute if " " in attribute else f"the {attribute}"
    assert f" holds {what} of a DICOM file" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name=zelda-quimby", "name holds the PatientName"),
        ("study=about-mrn-7741902", "study holds the PatientID"),
        ("outputs={}/QuimbyZelda", "outputs holds the PatientName"),
        ("data.source.modality='scan of Zelda Quimby'", "data.source.modality holds the PatientName"),
    ],
)
def test_settings(tmp_path: Path, line: str, message: str) -> None:
    path = table(tmp_path)
    compose(overrides(path))
    assert refused(*overrides(path, line.format(tmp_path))).startswith(message)


def test_folder_of_the_table_and_classes(tmp_path: Path) -> None:
    assert refused(*overrides(table(tmp_path / "7741902mrn-7741902"))).startswith(
        "data.source.path holds the PatientID"
    )
    message = refused(*overrides(table(tmp_path / "classes", heads="well,as Quimby Zelda")))
    assert message.startswith("a name of a class holds the PatientName")


def test_chance_stops_no_run(tmp_path: Path) -> None:
    """A first name like an optimizer or an account, and numbers that are settings, are nothing to refuse."""
    path = table(tmp_path / "home" / "adam", PatientName="Doe^Adam", PatientID="100")
    composed = compose(overrides(path, "optimizer=adam", "epochs=100", "data.batch_size=100"))
    assert composed.cfg.optimizer._target_ == "torch.optim.Adam"


def test_what_is_allowed_by_name(tmp_path: Path) -> None:
    path = table(tmp_path, subject="MRN-7741902-{}")
    composed = compose(overrides(path, "data.allow=[identifiers]"))
    assert composed.settings()["data.allow"] == ["identifiers"]


def test_image_folder(tmp_path: Path) -> None:
    for number in range(8):
        raw(tmp_path, f"{'ab'[number % 2]}/{number}.dcm", number)
    compose(["data=image_folder", f"data.source.root={tmp_path}"])
    raw(tmp_path, "a/quimby.dcm")
    message = refused("data=image_folder", f"data.source.root={tmp_path}")
    assert message.startswith("the path or subject of case 5 (counted from 1) holds a word of the PatientName")


def test_mask_table(tmp_path: Path) -> None:
    lines = ["path,mask,subject"]
    for number in range(5):
        raw(tmp_path, f"{number}.dcm", number)
        Image.fromarray((IMAGE > 30).astype(np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.dcm,{number}.png,{'Quimby' if number == 3 else number}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    message = refused("data=mask_table", f"data.source.path={tmp_path / 'cases.csv'}")
    assert message.startswith("the path or subject of case 4 (counted from 1) holds a word of the PatientName")


@pytest.mark.parametrize("apart", [False, True])
def test_box_table(apart: bool, tmp_path: Path) -> None:
    """Of one table of images and boxes, or of two."""
    lines = ["path,subject,label,x_min,y_min,x_max,y_max"]
    for number in range(5):
        file = raw(tmp_path, f"{number}.dcm", number)
        lines.append(f"{file.name},{'Quimby' if number == 3 else number},nodule,2,2,6,6")
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    where = [f"data.source.path={tmp_path / 'boxes.csv'}"]
    if apart:
        images = "\n".join(",".join(line.split(",")[:2]) for line in lines) + "\n"
        (tmp_path / "cases.csv").write_text(images)
        where = [f"data.source.path={tmp_path / 'cases.csv'}", f"data.source.boxes={tmp_path / 'boxes.csv'}"]
    message = refused("data=box_table", *where)
    assert message.startswith("the path or subject of case 4 (counted from 1) holds a word of the PatientName")


def test_other_images_are_left_alone(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "zelda").mkdir(exist_ok=True)
        Image.fromarray(IMAGE // 2 + number).save(tmp_path / "zelda" / f"{number}.png")
    lines = [
        f"zelda/{number}.png,{'ab'[number % 2]},{'train' if number < 2 else 'val' if number < 4 else 'test'}"
        for number in range(6)
    ]
    (tmp_path / "cases.csv").write_text("path,label,split\n" + "\n".join(lines) + "\n")
    assert compose(overrides(tmp_path / "cases.csv")).choices["data"] == "table"


@pytest.mark.parametrize(
    ("text", "value", "there"),
    [
        ("/data/7/1.dcm", "7", True),  # a short value must be a whole part
        ("/data/17/1.dcm", "7", False),
        ("/data/70741/x", "0741", False),  # or a word
        ("/data/p-0741/x", "0741", True),
        ("/data/p0741/x", "0741", False),
        ("/data/p774190/x", "77-41-90", True),  # a long one may be part of a word
        ("prose", "Rose", False),
        ("Rose's scan", "Rose", True),
        ("müller_karl", "Müller^Karl", True),
        ("karl", "Müller^Karl", False),
        ("", "x", False),
    ],
)
def test_what_counts_as_held(text: str, value: str, there: bool) -> None:
    assert held({value: "PatientID"}, [text]) == ("PatientID" if there else "")


def test_placeholders_name_nobody(tmp_path: Path) -> None:
    file = raw(tmp_path, "x.dcm", PatientID="", PatientName="Anonymous^Patient", StudyDate="")
    assert set(told_by(file).values()) == {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
    assert held(told_by(file), ["/data/anonymous/1.dcm"]) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", True),
        ("x.IMA", True),
        ("x.dicom", True),
        ("x.7", True),
        ("x.dcm", True),
        ("x.png", False),
        ("x.nii", False),
    ],
)
def test_whatever_is_read_as_dicom_is_looked_into(tmp_path: Path, name: str, expected: bool) -> None:
    """A kind of image that has its own ending is read as that."""
    (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    assert is_dicom(tmp_path / name) is expected
    (tmp_path / name).write_bytes(bytes(132))
    assert is_dicom(tmp_path / name) is (name == "x.dcm")
