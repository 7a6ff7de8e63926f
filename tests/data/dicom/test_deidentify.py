"""Identifiers in every place where they hide, looked for in all bytes that come out."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from dicom_files import PLANTED, plant, stack, write

from fiducial.data.dicom.pseudonym import Pseudonyms
from fiducial.data.dicom.study import Import


def test_nothing_planted_comes_out(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    for number, dataset in enumerate(stack(values)):
        write(plant(dataset), tmp_path / "folderperson" / f"fileperson{number}.dcm")
    Import([tmp_path / "folderperson"], tmp_path / "out", Pseudonyms(b"k" * 32)).run()
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len(files) == 5
    for file in files:
        raw = file.read_bytes()
        text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).lower() + file.name.encode()
        assert [word for word in PLANTED if word.encode() in text] == [], file.name
