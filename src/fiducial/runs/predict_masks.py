"""Apply a run's network to images and volumes, and write the masks that it predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import DictConfig

from fiducial.config.construction import component
from fiducial.data.formats import decode, stem_of
from fiducial.data.prepared import Prepare, axes_of, prepared
from fiducial.data.sample import Sample
from fiducial.data.sides import sides_of
from fiducial.data.volumes import is_nifti, read_volumes, write_mask
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs import folder
from fiducial.runs.build import build_network
from fiducial.runs.reader import Reader, network_input
from fiducial.tasks.postprocessing import corrected, mask_of
from fiducial.tasks.segmentation import on_own_grid
from fiducial.tasks.windows import Windows


def predict_masks(
    cfg: DictConfig,
    out: Path,
    files: Sequence[Path],
    masks: Path,
    *,
    reader: Reader,
    checkpoint: Path,
    hardware: Hardware,
) -> pd.DataFrame:
    """Write a mask for each file into `masks`, on the file's own grid; return a table of files and class volumes.

    Images are prepared as in training, and masks corrected as in the run's test.

    Args:
        cfg: the run's configuration.
        out: its folder.
        files: pictures, or NIfTI volumes with all channels in one file.
        masks: folder that the masks go into.
        reader: keeps those apart that cannot be read.
        checkpoint: of the network.
        hardware: that it runs on.

    Raises:
        InputError: two masks would be written under one name.
    """
    stems = {file: masks / stem_of(file) for file in files}
    if twice := [stem.name for stem, count in Counter(stems.values()).items() if count > 1]:
        raise InputError(f"{twice[0]}: several images have this name; predict them one folder at a time")
    network = build_network(cfg, hardware, checkpoint)
    windows, prepare = _windows(cfg), component(cfg.data.get("prepare"))
    threshold, corrections = _decided(cfg, out)
    lines = []
    for file, (sample, made) in reader.each(files, lambda file: _read(file, cfg, prepare)):
        image = network_input(cfg, np.asarray(made.image)[None], hardware.device_type)
        own = on_own_grid(windows(network, image)[0], made, sample)
        mask = corrected(mask_of(own, threshold), corrections)
        written = write_mask(stems[file], mask, sample.affine)
        lines.append({"file": str(file), "mask": str(written), **_sizes(mask, sample, cfg)})
    return pd.DataFrame(lines)


def _windows(cfg: DictConfig) -> Windows:
    options = {"overlap": cfg.task.get("overlap", 0.5), "at_once": cfg.task.get("windows_at_once", 4)}
    flips = list(cfg.task.get("flips", ()))
    spec = cfg.data.spec
    axes = axes_of(component(cfg.data.get("prepare")), spec.spatial_dims)
    named = cfg.data.get("sides", "auto")
    partners = named if isinstance(named, str) else list(map(str, named))
    sides = sides_of(flips, axes=axes, dims=spec.spatial_dims, classes=list(spec.classes), partners=partners)
    return Windows(list(cfg.data.patches.window), flips=flips, sides=sides, **options)


def _decided(cfg: DictConfig, out: Path) -> tuple[float, tuple[str, ...]]:
    """Return the threshold above which pixels are called, and what is corrected: as set, or as the run's test chose.

    Raises:
        InputError: the test that chooses has not been.
    """
    asked = {"threshold": cfg.task.get("threshold", 0.5), "postprocessing": cfg.task.get("postprocessing", "choose")}
    found = folder.scores(out) if folder.is_finished(out) else {}
    if missing := [f"task.{name}" for name, value in asked.items() if value == "choose" and name not in found]:
        raise InputError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} chosen in the run's test, which has not "
            f"been: let it come to its end first (fiducial train resume={out.name})"
        )
    chosen = found.get("postprocessing", {})
    corrections = tuple(chosen.get(name, asked["postprocessing"]) for name in list(cfg.data.spec.classes)[1:])
    return found.get("threshold", asked["threshold"]), corrections


def _read(file: Path, cfg: DictConfig, prepare: Prepare | None) -> tuple[Sample, Sample]:
    """Return a file's image, and the same as the network takes it."""
    spec = cfg.data.spec
    sample = read_volumes((file,), None, spec.num_classes, file.name) if is_nifti(file) else Sample(decode(file))
    if len(sample.size) != spec.spatial_dims or len(sample.image) != spec.channels:
        raise InputError(
            f"{file}: expected {spec.channels} channels and {spec.spatial_dims} axes, as in training; got "
            f"{len(sample.image)} and {len(sample.size)}"
        )
    return sample, prepared(sample, prepare, str(file))


def _sizes(mask: NDArray[np.uint8], sample: Sample, cfg: DictConfig) -> dict[str, Any]:
    """Return the volume of each class in ml, or for pictures its pixels."""
    voxel = float(np.prod(sample.spacing)) / 1000
    counts = np.bincount(mask.ravel(), minlength=cfg.data.spec.num_classes)
    names = list(cfg.data.spec.classes)
    if sample.affine is None:
        return {f"{name} (pixels)": int(counts[number]) for number, name in enumerate(names) if number}
    return {f"{name} (ml)": counts[number] * voxel for number, name in enumerate(names) if number}
