"""What an import did: a line a series in CSV, and totals to read."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fiducial.wording import counted

LINE = ("status", "subject", "case", "series", "modality", "kind", "files", "changes", "notes")


@dataclass
class Report:
    """Lines and totals; nothing in them is an identifier.

    Attributes:
        lines: a series each, by column of `LINE`.
        changes: how often each tag was changed, by reason and tag, over all files.
        skipped: number of files that are no images, by reason.
        subjects: pseudonyms of imported subjects.
    """

    lines: list[dict[str, str]] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    subjects: set[str] = field(default_factory=set)

    def add(self, status: str, facts: Mapping[str, str], files: int, changes: Counter[str], notes: str) -> None:
        """Add a line."""
        by_reason: Counter[str] = Counter()
        for key, count in changes.items():
            by_reason[key.rpartition(" (")[0]] += count
        self.changes += changes
        summary = "; ".join(f"{reason} {count}" for reason, count in sorted(by_reason.items()))
        line = {name: facts.get(name, "") for name in LINE}
        self.lines.append(line | {"status": status, "files": str(files), "changes": summary, "notes": notes})

    def having(self, status: str) -> list[dict[str, str]]:
        """Return the lines of one status."""
        return [line for line in self.lines if line["status"] == status]

    def write(self, folder: Path, options: Mapping[str, str]) -> None:
        """Write `report.csv` and `report.md`."""
        write_table(folder / "report.csv", LINE, self.lines)
        (folder / "report.md").write_text(self.text(options), encoding="utf-8")

    def text(self, options: Mapping[str, str]) -> str:
        """Return the report in Markdown."""
        imported, refused = self.having("imported"), self.having("refused")
        of_what = f"{counted(len(imported), 'case')} of {counted(len(self.subjects), 'subject')}"
        lines = [
            "# Import of DICOM studies",
            "",
            f"{of_what}; {len(refused)} series refused.",
            "Profile: DICOM PS3.15 Annex E, basic (table of edition 2026c). "
            + ", ".join(f"{name}: {value}" for name, value in options.items())
            + ".",
            "Nothing here is an identifier: subjects, cases and UIDs are pseudonyms under the key.",
        ]
        if refused:
            lines += ["", "## Refused", "", "| case | modality | files | reason |", "|---|---|---|---|"]
            lines += [f"| {r['case']} | {r['modality']} | {r['files']} | {r['notes']} |" for r in refused]
        if self.skipped:
            lines += ["", "## Not images", ""]
            lines += [f"- {reason}: {counted(count, 'file')}" for reason, count in sorted(self.skipped.items())]
        lines += ["", "## What was changed", "", "| tag | attribute | what | times |", "|---|---|---|---|"]
        lines += [
            _row(key, count)
            for key, count in sorted(self.changes.items(), key=lambda pair: pair[0].rpartition(" (")[2])
        ]
        return "\n".join(lines) + "\n"


def _row(key: str, count: int) -> str:
    from pydicom.datadict import keyword_for_tag

    reason, _, tag = key.rpartition(" (")
    group, element = (part.strip() for part in tag.rstrip(")").split(","))
    name = keyword_for_tag(int(group + element, 16)) or "–"
    return f"| ({group},{element}) | {name} | {reason} | {count} |"


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
