"""Reading 1,000 made-up DICOM files as series, beside SimpleITK's ImageSeriesReader and plain pydicom.

    python benchmarks/dicom.py [--series 10] [--slices 100] [--size 256] [--rounds 3]

CT slices of noise, uncompressed, with names in no order. All three sort by position and give values in HU; ours also
checks the spacing, takes every header through the profile and counts what it took out. `import` is the whole verb
without its start: the same, and NIfTI files, gzipped. The files are read once before, so that the disk is not measured.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 -- its usual name
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from fiducial.data.dicom.conversion import Options, convert
from fiducial.data.dicom.pseudonym import Pseudonyms
from fiducial.data.dicom.series import find
from fiducial.data.dicom.study import Import

PSEUDONYMS = Pseudonyms(bytes(range(32)))
Reader = Callable[[Path], list[np.ndarray]]


def write_series(folder: Path, number: int, slices: int, size: int) -> None:
    """Write one series, its slices under names in no order."""
    draw = np.random.default_rng(number)
    series = generate_uid(entropy_srcs=[str(number)])
    for name, place in enumerate(draw.permutation(slices).tolist()):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(place)])
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, generate_uid(entropy_srcs=[series])
        dataset.PatientID, dataset.PatientName, dataset.StudyDate = str(number), "Made^Up", "20200101"
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 1.5 * place]
        dataset.PixelSpacing, dataset.SliceThickness, dataset.InstanceNumber = [0.7, 0.7], 1.5, place + 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.Rows = dataset.Columns = size
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PixelData = draw.integers(0, 4096, (size, size)).astype(np.uint16).tobytes()
        folder.mkdir(parents=True, exist_ok=True)
        dataset.save_as(folder / f"{name:04d}.dcm", enforce_file_format=True)


def fiducial_series(root: Path) -> list[np.ndarray]:
    """Return each series as the import reads it, `(columns, rows, slices)`."""
    return [convert(series, PSEUDONYMS, Options()).values for series in find([root]).series]


def fiducial_import(root: Path) -> list[np.ndarray]:
    """Import into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        Import([root], Path(folder) / "cases", PSEUDONYMS).run()
    return []


def simpleitk_series(root: Path) -> list[np.ndarray]:
    """Return each series as SimpleITK reads it."""
    found = []
    for folder in sorted(root.iterdir()):
        for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), uid))
            found.append(sitk.GetArrayFromImage(reader.Execute()).T)
    return found


def pydicom_series(root: Path) -> list[np.ndarray]:
    """Return each series as a short script would read it."""
    found = []
    for folder in sorted(root.iterdir()):
        slices = sorted(
            (pydicom.dcmread(file) for file in folder.iterdir()), key=lambda one: one.ImagePositionPatient[2]
        )
        planes = [
            one.pixel_array.astype(np.int16) * int(one.RescaleSlope) + int(one.RescaleIntercept) for one in slices
        ]
        found.append(np.stack(planes).T)
    return found


READERS: dict[str, Reader] = {
    "Fiducial": fiducial_series,
    "SimpleITK": simpleitk_series,
    "pydicom": pydicom_series,
    "Fiducial, import": fiducial_import,
}


def sums(volumes: list[np.ndarray]) -> list[int]:
    """Return what is the same for equal volumes in any order of series, and differs where slices are in another."""
    weights = np.arange(1, volumes[0].shape[-1] + 1)
    return sorted(int((volume.sum(axis=(0, 1), dtype=np.int64) * weights).sum()) for volume in volumes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "studies"
        for number in range(args.series):
            write_series(root / f"{number:03d}", number, args.slices, args.size)
        expected = sums(pydicom_series(root))
        for name in ("Fiducial", "SimpleITK"):
            assert sums(READERS[name](root)) == expected, name
        seconds: dict[str, list[float]] = {name: [] for name in READERS}
        for _ in range(args.rounds):
            for name, reader in READERS.items():
                begin = time.perf_counter()
                reader(root)
                seconds[name].append(time.perf_counter() - begin)
    files = args.series * args.slices
    print(f"{files:,} files of {args.size} × {args.size}, {args.series} series; median of {args.rounds} rounds")
    print(f"{'':<18}{'s':>8}{'files/s':>10}{'× SimpleITK':>13}")
    peer = statistics.median(seconds["SimpleITK"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"{name:<18}{middle:>8.2f}{files / middle:>10,.0f}{middle / peer:>13.2f}")


if __name__ == "__main__":
    main()
