"""What a data set holds, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from fiducial.config.construction import component
from fiducial.data.assignment import assigned
from fiducial.data.boxed import BOXES, BoxedSource
from fiducial.data.checks import check
from fiducial.data.leakage import LEAKS, MEANING, SHARED_SUBJECTS, leaks
from fiducial.data.masked import MaskedSource
from fiducial.data.perceptual import CORRELATION, DISTANCE
from fiducial.data.source import SPLITS, Cases, Source, Spec
from fiducial.data.survey import Survey, survey
from fiducial.errors import InputError
from fiducial.reports.inspection.content import Finding, Inspection, Picture, Sheet
from fiducial.reports.inspection.thumbnail import thumbnail

OF_CLASS = 8  # images of each class in the montage
ALIKE = 12  # groups or pairs that are shown
IN_GROUP = 4  # images of a group that are shown
MOST_ROWS = 12  # sizes and spacings in a table
QUANTILES = (1, 50, 99)


def inspect(cfg: DictConfig, title: str, *, near: bool = True, pictures: bool = True) -> Inspection:
    """Read all that `cfg.data` names.

    Args:
        cfg: a run's configuration.
        title: name of the data set.
        near: look for near duplicates.
        pictures: make small images for a page.

    Raises:
        InputError: the table of cases itself cannot be read.
    """
    source: Source = component(cfg.data.source)
    source.look_only()
    named = ("splits", "leave_out", "fold", "num_folds", "test_folds")
    options = {name: cfg.data[name] for name in named if name in cfg.data}
    cases, spec = assigned(source, **options), source.spec
    seen = survey(source, near=near)
    assert seen.twins is not None
    mask_of = (lambda row: source.sample(row).mask) if isinstance(source, MaskedSource) else None
    return Inspection(
        title=title,
        facts=_facts(cases, spec),
        sheets=[_splits(source, cases, spec, seen), _sizes(seen, len(cases)), *_spacings(seen), _intensities(seen)],
        findings=list(_findings(cases, spec, seen, cfg.data.get("allow") or (), mask_of)),
        looked_for=_looked_for(near, spec),
        montage=_montage(source, cases, seen) if pictures else (),
        alike=_alike(source, cases, seen) if pictures else (),
    )


def _facts(cases: Cases, spec: Spec) -> list[tuple[str, str]]:
    size = " × ".join(map(str, spec.size))
    facts = [("cases", f"{len(cases):,}"), ("subjects", f"{len(set(cases.subject.tolist())):,}")]
    facts += [("target", spec.target), ("classes", ", ".join(map(_quoted, spec.classes)) or "none")]
    facts += [
        ("size in a run", f"{size}{' and other' if spec.target == 'mask' else ''}"),
        ("channels", f"{spec.channels}"),
    ]
    return [*facts, ("modality", spec.modality)] if spec.modality else facts


def _quoted(name: str) -> str:
    """Return a class's name so that its end is seen in a list."""
    return f'"{name}"' if "," in name else name


def _splits(source: Source, cases: Cases, spec: Spec, seen: Survey) -> Sheet:
    """Return a column a split: cases, subjects, and cases, pixels or boxes of each class."""
    masks, boxed = spec.target == "mask", spec.target == BOXES
    columns: list[Sequence[str]] = [("cases", "subjects", *spec.classes)]
    for split in (*SPLITS, "all"):
        where = np.arange(len(cases)) if split == "all" else cases.where(split)
        subjects = len(set(cases.subject[where].tolist()))
        of_classes = _boxes_of_classes(source, where) if boxed else _of_classes(cases, spec, seen, where)
        columns.append((f"{len(where):,}", f"{subjects:,}", *of_classes))
    note = "Of each class: its share of pixels, and cases that have any." if masks else "Of each class: cases."
    note = "Of each class: boxes, and cases that have any." if boxed else note
    return Sheet("Splits", ["", *SPLITS, "all"], list(zip(*columns, strict=True)), note)


def _boxes_of_classes(source: Source, where: NDArray[np.int64]) -> list[str]:
    assert isinstance(source, BoxedSource)
    labels = [source.truth(row).label for row in where.tolist()]
    counts = np.zeros((len(labels), source.spec.num_classes), np.int64)
    for row, each in enumerate(labels):
        counts[row] = np.bincount(each, minlength=source.spec.num_classes)
    return [f"{total:,} ({cases:,})" for total, cases in zip(counts.sum(0), (counts > 0).sum(0), strict=True)]


def _of_classes(cases: Cases, spec: Spec, seen: Survey, where: NDArray[np.int64]) -> list[str]:
    if spec.target == "mask":
        counts = np.array([seen.mask_pixels[row] for row in where.tolist() if row in seen.mask_pixels])
        if not len(counts):
            return ["–"] * spec.num_classes
        shares = counts.sum(axis=0) / counts.sum()
        return [f"{share:.2%} ({n:,})" for share, n in zip(shares, (counts > 0).sum(axis=0), strict=True)]
    label = cases.label[where]
    counts = label.sum(axis=0) if label.ndim == 2 else np.bincount(label[label >= 0], minlength=spec.num_classes)
    return [f"{n:,} ({n / max(1, len(where)):.0%})" for n in counts.tolist()]


def _sizes(seen: Survey, count: int) -> Sheet:
    looked_at = seen.sizes.total()
    note = "" if looked_at + len(seen.corrupt) >= count else f"Of {looked_at:,} cases, evenly spaced."
    return _counted("Sizes", "pixels", seen.sizes, note)


def _spacings(seen: Survey) -> list[Sheet]:
    return [_counted("Spacing", "mm", seen.spacings, "")] if seen.spacings else []


def _counted(title: str, unit: str, counts: Counter[Any], note: str) -> Sheet:
    rows = [(_times(key), f"{n:,}") for key, n in counts.most_common(MOST_ROWS)]
    if (more := len(counts) - len(rows)) > 0:
        extents = np.array(list(counts), float) if len({len(key) for key in counts}) == 1 else None
        span = "" if extents is None else f"; from {_times(extents.min(0))} to {_times(extents.max(0))} along each axis"
        note = f"{note} {more:,} other{span}.".strip()
    return Sheet(title, [unit, "cases"], rows, note)


def _times(extents: Iterable[float]) -> str:
    return " × ".join(f"{extent:g}" for extent in extents)


def _intensities(seen: Survey) -> Sheet:
    heads = ["channel", "lowest", *(f"{q} %" for q in QUANTILES), "highest", "mean", "std"]
    rows = []
    for channel in range(0 if seen.lowest is None else len(seen.lowest)):
        assert seen.lowest is not None
        assert seen.highest is not None
        sample = np.concatenate([values[channel] for values in seen.values]).astype(np.float64)
        sample = sample[~np.isnan(sample)]  # of cases that have the channel
        numbers = [seen.lowest[channel], *np.percentile(sample, QUANTILES), seen.highest[channel]]
        rows.append([str(channel), *(_short(x) for x in (*numbers, sample.mean(), sample.std()))])
    return Sheet("Intensities", heads, rows, "Percentiles, mean and std from a sample of each image's pixels.")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _findings(
    cases: Cases,
    spec: Spec,
    seen: Survey,
    allow: Sequence[str],
    mask_of: Callable[[int], NDArray[np.uint8] | None] | None,
) -> Iterator[Finding]:
    assert seen.twins is not None
    if (bare := _without_label(cases)).any():
        yield Finding("cases without label", cases.case[bare].tolist(), stops=True)
    try:
        check(replace(cases, label=cases.label.clip(0)), spec, allow_shared_subjects=True)
    except InputError as error:
        yield Finding("table", [str(error)], stops=True)
    if seen.corrupt:
        yield Finding(
            "images that cannot be read", [_named(cases, row, t) for row, t in seen.corrupt.items()], stops=True
        )
    found = leaks(cases, seen.twins, mask_of)
    for kind in LEAKS:
        if kind in found:
            allowed = kind in allow
            title = f"{MEANING[kind]} (allowed by data.allow)" if allowed else MEANING[kind]
            yield Finding(title, found[kind], stops=not allowed, name=kind)
    told = [
        ("equal images in one split", _within(cases, seen.twins.equal, " = ")),
        ("nearly equal images in one split", _within(cases, list(seen.twins.near), " ≈ ")),
        ("blank images", cases.case[seen.blank].tolist()),
        ("cases without mask", cases.case[seen.unlabelled].tolist()),
        ("cases that lack a channel", _lacking(cases, seen)),
    ]
    yield from (Finding(title, items) for title, items in told if items)


def _without_label(cases: Cases) -> NDArray[np.bool_]:
    """Return which cases have no class number."""
    return cases.label == -1 if cases.label.ndim == 1 else np.zeros(len(cases), np.bool_)


def _lacking(cases: Cases, seen: Survey) -> list[str]:
    if seen.present is None:
        return []
    rows = np.flatnonzero(~seen.present.all(axis=1)).tolist()
    return [f"{cases.case[row]}: {', '.join(map(str, np.flatnonzero(~seen.present[row])))}" for row in rows]


def _named(cases: Cases, row: int, text: str) -> str:
    case = str(cases.case[row])
    return text if case in text else f"{case}: {text}"


def _within(cases: Cases, groups: Sequence[NDArray[np.int64]], sign: str) -> list[str]:
    """Return the groups that stay in one split; those of one subject are expected to be alike."""
    return [
        f"{sign.join(cases.case[rows].tolist())} ({cases.split[rows[0]]})"
        for rows in groups
        if len(set(cases.split[rows].tolist())) == 1 and len(set(cases.subject[rows].tolist())) > 1
    ]


def _looked_for(near: bool, spec: Spec) -> list[str]:
    lines = [f"Looked for: {MEANING[SHARED_SUBJECTS]}, equal images, and labels that differ on them."]
    if spec.target == "mask":
        lines = [f"Looked for: {MEANING[SHARED_SUBJECTS]}, equal images, and masks that differ on them."]
    if spec.target == BOXES:
        lines = [f"Looked for: {MEANING[SHARED_SUBJECTS]} and equal images. Boxes of equal images were not compared."]
    if not near:
        return [*lines, "Near duplicates were not looked for (--no-near)."]
    measure = (
        f"at most {DISTANCE} of 63 bits of a perceptual hash apart, thumbnails correlated by {CORRELATION} or more"
    )
    return [*lines, f"Near duplicates: {measure}. Rotated, mirrored, and strongly cropped copies are not found."]


def _montage(source: Source, cases: Cases, seen: Survey) -> list[tuple[str, list[Picture]]]:
    """Return a few readable cases of each class, of all splits, evenly spaced."""
    spec, good = source.spec, np.array([row not in seen.corrupt for row in range(len(cases))])
    strips = []
    alike = spec.target in ("mask", BOXES)
    if (bare := _without_label(cases) & good).any():
        strips.append(("without label", [_picture(source, cases, row) for row in _spread(np.flatnonzero(bare))]))
    for number, name in enumerate(("cases",) if alike else spec.classes):
        of_class = cases.label[:, number] == 1 if cases.label.ndim == 2 else (cases.label == number) | alike
        strips.append((name, [_picture(source, cases, row) for row in _spread(np.flatnonzero(of_class & good))]))
    return strips


def _spread(rows: NDArray[np.int64]) -> list[int]:
    """Return a few rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(OF_CLASS, len(rows))).astype(int)].tolist() if len(rows) else []


def _alike(source: Source, cases: Cases, seen: Survey) -> list[tuple[str, list[Picture]]]:
    """Return images that are alike across splits, or in spite of different labels; the most alike first."""
    assert seen.twins is not None
    order = np.argsort(-seen.twins.correlation, kind="stable")
    groups = [("equal", rows) for rows in seen.twins.equal]
    groups += [(f"nearly equal, correlation {seen.twins.correlation[n]:.3f}", seen.twins.near[n]) for n in order]
    shown = [(title, rows) for title, rows in groups if _matters(cases, rows)][:ALIKE]
    return [(title, [_picture(source, cases, row) for row in rows[:IN_GROUP].tolist()]) for title, rows in shown]


def _matters(cases: Cases, rows: NDArray[np.int64]) -> bool:
    labels = {str(label) for label in cases.label[rows].tolist() if label != -1}
    return len(set(cases.split[rows].tolist())) > 1 or len(labels) > 1


def _count(source: Source, row: int) -> str:
    assert isinstance(source, BoxedSource)
    number = len(source.truth(row))
    return "no box" if not number else f"{number} box{'es' if number > 1 else ''}"


def _picture(source: Source, cases: Cases, row: int) -> Picture:
    names = source.spec.classes
    label = cases.label[row]
    if source.spec.target == "mask":
        text = ""
    elif source.spec.target == BOXES:
        text = _count(source, row)
    elif label.ndim:
        text = ", ".join(names[number] for number in np.flatnonzero(label)) or "none"
    else:
        text = names[label] if label >= 0 else "no label"
    caption = f"{cases.split[row]} · {text}" if text else str(cases.split[row])
    return Picture(thumbnail(np.asarray(source.read(row))), str(cases.case[row]), caption)
