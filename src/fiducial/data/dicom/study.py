"""Folders of DICOM studies → images, a table of cases, and a report."""

from __future__ import annotations

import glob
import json
import logging
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.dicom.conversion import COLUMNS, Options, case_name, convert
from fiducial.data.dicom.guard import held, telling, told_by
from fiducial.data.dicom.pseudonym import Pseudonyms
from fiducial.data.dicom.report import Report, write_table
from fiducial.data.dicom.segmentation import Grid, mask_of
from fiducial.data.dicom.segments import COLUMNS as CLASSES
from fiducial.data.dicom.segments import Classes
from fiducial.data.dicom.series import Series, find
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LINKS = ("case", "subject", "patient_id", "patient_name", "files")


@dataclass
class Import:
    """One import of folders into a new folder.

    Args:
        places: folders and files to read.
        out: folder to make; it appears when all is written.
        pseudonyms: of the key.
        options: of dates and burned-in text.
        links: file that leads from pseudonyms back to patients and files, or None.
        shown: passes the series on, and shows how far they are.

    Raises:
        InputError: a place is missing, `out` is not empty or tells who a patient is, or folders lie inside each other.
    """

    places: Sequence[Path]
    out: Path
    pseudonyms: Pseudonyms
    options: Options = field(default_factory=Options)
    links: Path | None = None
    shown: Callable[[Sequence[Series]], Iterable[Series]] = iter

    def __post_init__(self) -> None:
        for place in self.places:
            if not place.exists():
                raise InputError(f"{place}: there is no such file or folder")
            if self.out.resolve().is_relative_to(place.resolve()) or place.resolve().is_relative_to(self.out.resolve()):
                raise InputError(f"{self.out}: the result must lie outside of what is read ({place})")
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise InputError(f"{self.out}: expected a new or empty folder; what is there is not written over")
        if self.links is not None and self.links.exists():
            raise InputError(f"{self.links}: there is a table of links already; it is not written over")
        self.report = Report()
        self.grids: list[tuple[str, Grid]] = []
        self.rows: dict[str, dict[str, str]] = {}
        self.known: list[dict[str, str]] = []

    def remove_leftovers(self) -> list[Path]:
        """Remove, and return, half-made folders that killed imports into the same folder left beside it.

        Raises:
            InputError: the process that makes one may still be running, or one cannot be removed.
        """
        mark = f".{self.out.name}."
        found = [
            place
            for place in sorted(self.out.parent.glob(f"{glob.escape(mark)}*"))
            if place.name.removeprefix(mark).isdecimal() and place.is_dir()
        ]
        for place in found:
            number = place.name.removeprefix(mark)
            if is_running(int(number)):
                raise InputError(
                    f"{self.out}: process {number} seems to be importing into it; if it does not, remove {place}"
                )
            try:
                shutil.rmtree(place)
            except OSError as error:
                raise InputError(f"{place}: a half-made import that cannot be removed: {error.strerror}") from error
        return found

    def run(self) -> Report:
        """Import everything that can be, and return what was done."""
        part = self.out.with_name(f".{self.out.name}.{os.getpid()}")
        try:
            (part / "images").mkdir(parents=True)
            with _unheard():
                self._fill(part)
            self._write_links()
            if not self.rows:
                return self.report
            write_table(part / "cases.csv", COLUMNS, sorted(self.rows.values(), key=lambda row: row["path"]))
            self.report.write(part, {"dates": self.options.dates, "burned-in text": self.options.burned_in})
            if self.out.exists():
                self.out.rmdir()
            part.replace(self.out)
        except OSError as error:
            raise InputError(f"{self.out}: cannot be written: {error.strerror}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return self.report

    def _fill(self, part: Path) -> None:
        found = find(self.places)
        self.report.skipped = found.skipped
        for file, reason in found.unreadable:
            facts = {"case": self.pseudonyms.name("file", str(file))}
            self.report.add("refused", facts, 1, Counter(), reason)
            self._link(facts["case"], "", [file], readable=False)
        for series in self.shown(found.series):
            self._check_out(series)
            self._take(series, part)
        classes = Classes(found.segmentations)
        for file in found.segmentations:
            self._take_mask(file, part, classes)
        if (part / "masks").is_dir():
            write_table(part / "classes.csv", CLASSES, classes.rows())

    def _check_out(self, series: Series) -> None:
        """Refuse a result whose path tells who is in it: later runs log the path."""
        if attribute := held(telling([told_by(series.files[0])]), [str(self.out.resolve())]):
            raise InputError(f"--to: the folder's path holds the {attribute} of an image, and runs would log it")

    def _take(self, series: Series, part: Path) -> None:
        name = case_name(series, self.pseudonyms)
        facts = {"case": name, "series": self.pseudonyms.uid(series.uid), "kind": series.kind}
        if name in self.rows:
            self.report.add("refused", facts, len(series.files), Counter(), "a copy of a case that is there already")
            self._link(name, "", series.files)
            return
        try:
            case = convert(series, self.pseudonyms, self.options)
            file = write_values(part / "images" / name, case.values, case.affine, case.row["kind"])
        except OSError:  # of the disk that is written to
            raise
        except Exception as error:
            _remove(part / "images", name)
            self.report.add("refused", facts, len(series.files), Counter(), _reason(error))
            self._link(name, "", series.files)
            return
        (part / "images" / f"{name}.json").write_text(json.dumps(case.acquisition, indent=1), encoding="utf-8")
        case.row["path"] = f"images/{file.name}"
        self.rows[name] = case.row
        self.report.subjects.add(case.row["subject"])
        self.report.add("imported", case.row, len(series.files), case.changes, "; ".join(case.notes))
        self._link(name, case.row["subject"], series.files)
        if case.affine is not None and series.kind == "volume":
            self.grids.append((name, Grid(series.uid, case.values.shape, case.affine)))

    def _take_mask(self, file: Path, part: Path, classes: Classes) -> None:
        facts = {"case": self.pseudonyms.name("mask", str(file)), "modality": "SEG", "kind": "mask"}
        try:
            name, mask = mask_of(file, self.grids, classes.of(file))
            if self.rows[name]["mask"]:
                raise InputError("its series has a mask already")
        except Exception as error:
            self.report.add("refused", facts, 1, Counter(), _reason(error))
            self._link(facts["case"], "", [file])
            return
        (part / "masks").mkdir(exist_ok=True)
        grid = next(grid for case, grid in self.grids if case == name)
        written = write_values(part / "masks" / name, mask, grid.affine, "volume")
        classes.count(file)
        self.rows[name]["mask"] = f"masks/{written.name}"
        self.report.add("imported", facts | {"case": name}, 1, Counter(), "mask")

    def _link(self, case: str, subject: str, files: Sequence[Path], *, readable: bool = True) -> None:
        if self.links is None:
            return
        import pydicom

        tags = ["PatientID", "PatientName"]
        person = pydicom.Dataset()
        if readable:
            person = pydicom.dcmread(files[0], stop_before_pixels=True, specific_tags=tags)
        self.known.append(
            {
                "case": case,
                "subject": subject,
                "patient_id": str(person.get("PatientID", "")),
                "patient_name": str(person.get("PatientName", "")),
                "files": "|".join(str(file) for file in files),
            }
        )

    def _write_links(self) -> None:
        if self.links is None:
            return
        os.close(os.open(self.links, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        write_table(self.links, LINKS, self.known)


def _remove(folder: Path, name: str) -> None:
    """Remove what was written of a case before it turned out that it cannot be."""
    for file in folder.glob(f"{glob.escape(name)}.*"):
        file.unlink()


def _reason(error: Exception) -> str:
    """Return why a file costs its series; what a library says of a value that nobody foresaw may quote it."""
    return str(error) if isinstance(error, InputError) else f"it cannot be used ({type(error).__name__})"


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep pydicom's warnings away: they quote values."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def is_running(number: int) -> bool:
    """Return whether there is a process of this number on this machine."""
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_values(stem: Path, values: NDArray[Any], affine: NDArray[np.float64] | None, kind: str) -> Path:
    """Write an array as NIfTI; an image as PNG (8 bits, or 16 of grey) where its values fit, else as TIFF."""
    import nibabel
    import numpy as np
    import tifffile
    from PIL import Image

    if affine is not None:
        path = stem.with_name(f"{stem.name}.nii.gz")
        volume = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
        volume.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
        nibabel.save(volume, path)
        return path
    deep = values.dtype != np.uint8
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() < 2**16 and not (deep and values.ndim > 2):
        path = stem.with_name(f"{stem.name}.png")
        Image.fromarray(values.astype(np.uint16) if deep else values).save(path)
        return path
    path = stem.with_name(f"{stem.name}.tif")
    photometric = "rgb" if values.ndim > 2 else "minisblack"
    tifffile.imwrite(path, values, photometric=photometric, metadata=None, software=False)
    return path
