"""An inspection as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from html import escape
from importlib.resources import files

from fiducial.reports.inspection.content import Finding, Inspection, Picture, Sheet

OPEN = 12  # items of a finding that are seen without a click


def page(inspection: Inspection) -> str:
    """Return the page: facts, findings, images that are alike, tables, montage."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    title = escape(inspection.title)
    body = [
        f"<h1>{title}</h1>",
        _facts(inspection.facts),
        "<h2>Findings</h2>",
        *(_finding(finding) for finding in inspection.findings),
        "" if inspection.findings else '<p class="good">Nothing found that should be looked into.</p>',
        *(f'<p class="hint">{escape(line)}</p>' for line in inspection.looked_for),
        '<div class="groups">',
        *_strips("Alike", inspection.alike),
        "</div>",
        *(_sheet(sheet) for sheet in inspection.sheets),
        *_strips("Images", inspection.montage),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main>{"".join(body)}</main></body></html>\n'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f"<dl>{items}</dl>"


def _finding(finding: Finding) -> str:
    items = [f"<li>{_breakable(item)}</li>" for item in finding.items]
    rest = f"<details><summary>{len(items) - OPEN:,} more</summary><ul>{''.join(items[OPEN:])}</ul></details>"
    name = escape(finding.name)
    stops = f"stops a run without <code>data.allow=[{name}]</code>" if name else "stops a run"
    return (
        f'<section class="{"stops" if finding.stops else "told"}">'
        f"<h3>{escape(finding.title)}: <b>{len(items):,}</b></h3>"
        f"{f'<p>{stops}</p>' if finding.stops else ''}"
        f"<ul>{''.join(items[:OPEN])}</ul>{rest if len(items) > OPEN else ''}</section>"
    )


def _breakable(text: str) -> str:
    """Return text that a browser breaks between the parts of a path or an id, and not inside a number."""
    return re.sub(r"([/_])(?=\w)", r"\1<wbr>", escape(text))


def _sheet(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in sheet.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in sheet.rows)
    note = f'<p class="hint">{escape(sheet.note)}</p>' if sheet.note else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>{escape(sheet.title)}</h2><div class="wide">{table}</div>{note}'


def _strips(title: str, strips: Iterable[tuple[str, Iterable[Picture]]]) -> Iterable[str]:
    """Yield a heading, and a row of pictures for each strip."""
    for number, (heading, pictures) in enumerate(strips):
        yield f"<h2>{title}</h2>" if number == 0 else ""
        strip = f'<div class="strip">{"".join(map(_picture, pictures))}</div>'
        yield f"<div><h3>{escape(heading)}</h3>{strip}</div>"


def _picture(picture: Picture) -> str:
    source = b64encode(picture.png).decode()
    case, caption = escape(picture.case), escape(picture.caption)
    image = f'<img src="data:image/png;base64,{source}" alt="{case}" loading="lazy">'
    said = f"{_breakable(picture.case)}<br><span>{caption}</span>"
    return f'<figure title="{case}">{image}<figcaption>{said}</figcaption></figure>'
