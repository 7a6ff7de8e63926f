"""An inspection in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiducial.reports.inspection.content import Finding, Inspection, Sheet

MOST = 10  # items of a finding


def show(inspection: Inspection, console: Console | None = None) -> None:
    """Print facts, tables and findings.

    Args:
        inspection: what to print.
        console: where to; standard output if None.
    """
    console = console or Console(highlight=False)
    console.print(f"[bold]{escape(inspection.title)}[/]")
    for name, value in inspection.facts:
        console.print(f"  {escape(name)}: {escape(value)}", soft_wrap=True)
    for sheet in inspection.sheets:
        console.print(_table(sheet))
        if sheet.note:
            console.print(escape(sheet.note), style="dim", soft_wrap=True)
    for finding in inspection.findings:
        _tell(finding, console)
    if not inspection.findings:
        console.print("\nnothing found that should be looked into", style="green")
    for line in inspection.looked_for:
        console.print(escape(line), style="dim", soft_wrap=True)


def _table(sheet: Sheet) -> Table:
    table = Table(title=f"\n{escape(sheet.title)}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, heading in enumerate(sheet.heads):
        table.add_column(escape(heading), justify="right" if number else "left", overflow="fold")
    for row in sheet.rows:
        table.add_row(*map(escape, row))
    return table


def _tell(finding: Finding, console: Console) -> None:
    colour = "red" if finding.stops else "yellow"
    end = f"; stops a run without data.allow=[{finding.name}]" if finding.stops and finding.name else ""
    console.print(f"\n[{colour}]{escape(finding.title)}[/]: {len(finding.items):,}{escape(end)}", soft_wrap=True)
    for item in finding.items[:MOST]:
        console.print(f"  {escape(item)}", soft_wrap=True)
    if (more := len(finding.items) - MOST) > 0:
        console.print(f"  and {more:,} more: --html FILE lists all", style="dim")
