"""Small data sets with masks, in the layouts of their originals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

OBLIQUE = np.array([[0, -1.5, 0, 10], [2.0, 0, 0, -20], [0, 0.1, 3.0, 5], [0, 0, 0, 1]])


def save_nifti(path: Path, values: NDArray[Any], affine: NDArray[Any] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)


def volume(seed: int, size: tuple[int, ...] = (10, 12, 8)) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return a noisy volume with a bright box of class 1 and a brighter one of class 2, and its mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, np.uint8)
    mask[2:6, 3:7, 2:5], mask[6:8, 3:7, 2:5] = 1, 2
    image = rng.normal(100, 10, size) + 60 * (mask == 1) + 120 * (mask == 2)
    return image.astype(np.int16), mask


def make_decathlon(folder: Path, count: int = 6, affine: NDArray[Any] | None = None) -> Path:
    """Write `<folder>/decathlon/Task04_Hippocampus`; return its folder."""
    root = folder / "decathlon" / "Task04_Hippocampus"
    training = []
    for number in range(count):
        image, mask = volume(number)
        name = f"hippocampus_{number:03d}.nii.gz"
        save_nifti(root / "imagesTr" / name, image, affine)
        save_nifti(root / "labelsTr" / name, mask, affine)
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    content = {"modality": {"0": "MRI"}, "labels": labels, "training": training, "test": []}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def make_nnunet(root: Path, count: int = 6, *, ending: str = ".nii.gz", **changes: Any) -> Path:
    """Write a data set of two channels in nnU-Net's raw format."""
    for number in range(count):
        image, mask = volume(number)
        for channel in range(2):
            save_nifti(root / "imagesTr" / f"case{number}_{channel:04d}{ending}", image + 1000 * channel, OBLIQUE)
        save_nifti(root / "labelsTr" / f"case{number}{ending}", mask, OBLIQUE)
    labels = {"background": 0, "core": 1, "rim": 2}
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": labels, "numTraining": count, "file_ending": ending}
    (root / "dataset.json").write_text(json.dumps({**content, **changes}))
    return root


def make_drive(folder: Path, size: tuple[int, int] = (40, 48)) -> Path:
    """Write `<folder>/DRIVE` with small pictures: a bright cross for vessels in a round field of view."""
    root = folder / "DRIVE"
    rows, columns = np.indices(size)
    view = ((rows - size[0] / 2) ** 2 + (columns - size[1] / 2) ** 2 < (size[0] / 2) ** 2).astype(np.uint8)
    for part, numbers in (("training", range(21, 41)), ("test", range(1, 21))):
        for name in ("images", "1st_manual", "2nd_manual", "mask"):
            (root / part / name).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            rng = np.random.default_rng(number)
            vessels = np.zeros(size, np.uint8)
            vessels[:, int(rng.integers(10, 38))] = vessels[int(rng.integers(10, 30))] = 1
            noise = rng.normal(80, 8, (*size, 3)) + 90 * vessels[..., None]
            picture = Image.fromarray((noise * view[..., None]).clip(0, 255).astype(np.uint8))
            picture.save(root / part / "images" / f"{number:02d}_{part}.tif", compression="tiff_lzw")
            Image.fromarray(255 * vessels).save(root / part / "1st_manual" / f"{number:02d}_manual1.gif")
            Image.fromarray(255 * view).save(root / part / "mask" / f"{number:02d}_{part}_mask.gif")
            if part == "test":
                Image.fromarray(255 * np.roll(vessels, 1, 0)).save(
                    root / part / "2nd_manual" / f"{number:02d}_manual2.gif"
                )
    return root
