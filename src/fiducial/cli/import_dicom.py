"""Turn folders of DICOM studies into cases without the people in them: images, a table, a report.

Series are grouped, sorted by position and checked for gaps; values are in real units (CT: HU). De-identification is
the basic profile of DICOM PS3.15 Annex E, with pseudonyms from a secret key that lies outside the data. A series that
cannot be used is refused by its pseudonym with the reason; the others are imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.wording import counted

if TYPE_CHECKING:
    from fiducial.data.dicom.series import Series

EXAMPLES = """examples:
  fiducial import-dicom /data/studies --to /data/cases --key ~/.keys/trial --new-key
  fiducial import-dicom /data/more --to /data/cases2 --key ~/.keys/trial --links ~/.keys/trial.csv
  fiducial import-dicom /data/echo --to /data/echo-cases --key ~/.keys/trial --burned-in mask --dates remove
  fiducial import-dicom /data/ct --to /data/ct-cases --key ~/.keys/trial --labels outcomes.csv
  fiducial train data=table data.source.path=/data/ct-cases/cases.csv \
      'data.source.intensity=[-1000,400]' 'data.source.size=[24,64,64]'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("places", nargs="+", metavar="FOLDER_OR_FILE", help="studies; folders are walked")
    parser.add_argument("--to", required=True, metavar="DIR", help="new folder for images, cases.csv and the report")
    parser.add_argument(
        "--key", required=True, metavar="FILE", help="secret key; the same key gives the same pseudonyms"
    )
    parser.add_argument("--new-key", action="store_true", help="make the key file, readable by you alone")
    parser.add_argument("--dates", choices=["shift", "remove"], default="shift", help="default: shift, per subject")
    parser.add_argument(
        "--burned-in",
        choices=["refuse", "mask", "accept"],
        default="refuse",
        help="images whose pixels may hold text; mask: blank what lies outside the ultrasound regions",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="CSV of label, and patient_id, accession_number, study_uid or series_uid: fills the column label",
    )
    parser.add_argument("--links", metavar="FILE", help="write which patient and files each case is; keep it secret")


def run(args: argparse.Namespace) -> int:
    """Import, and say what came of it; 1 where nothing could be imported."""
    from fiducial.data.dicom.conversion import Options
    from fiducial.data.dicom.labels import Labels, read_labels
    from fiducial.data.dicom.pseudonym import create_key, keep_apart, read_key
    from fiducial.data.dicom.study import Import

    places, out, key = [Path(place).expanduser() for place in args.places], Path(args.to), Path(args.key).expanduser()
    labels = read_labels(Path(args.labels).expanduser()) if args.labels else Labels()
    links = None if args.links is None else Path(args.links).expanduser()
    for secret, what in ((key, "the key"), (links, "the table of links")):
        if secret is not None:
            keep_apart(secret, [*places, out], what)
    if args.new_key:
        create_key(key)
    options = Options(dates=args.dates, burned_in=args.burned_in, labels=labels)
    work = Import(places, out, read_key(key), options, links=links, shown=_shown)
    for place in work.remove_leftovers():
        print(f"removed {place}: cases that an import which was killed had left half-made")
    report = work.run()
    imported, refused = report.having("imported"), report.having("refused")
    for line in refused:
        print(f"refused {line['case']} ({counted(int(line['files']), 'file')}): {line['notes']}")
    if refused and links is None:
        print("--links FILE, outside the data, tells which files these are")
    for reason, count in sorted(report.skipped.items()):
        print(f"skipped {counted(count, 'file')}: {reason}")
    masks = sum(line["kind"] == "mask" for line in imported)
    print(f"imported: cases {len(imported) - masks}, masks {masks}, subjects {len(report.subjects)}")
    if imported:
        print(f"{out / 'cases.csv'}   {out / 'report.md'}")
    if args.labels and (bare := sum(not row["label"] for row in work.rows.values())):
        print(f"without label in {args.labels}: {counted(bare, 'case')}")
    return 0 if imported else 1


def _shown(series: Sequence[Series]) -> Iterable[Series]:
    """Pass series on, with a bar where somebody looks."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(series, "importing series", console=console, transient=True, disable=not console.is_terminal)
