"""The docstring of a package lists the modules that it has, and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import fiducial

ROOT = Path(fiducial.__file__).parent
LISTS = ("config", "data", "reports", "reports.comparison", "reports.figures", "runs", "sweeps", "tracking")


@pytest.mark.parametrize("package", LISTS)
def test_a_package_lists_its_modules(package: str) -> None:
    folder = ROOT.joinpath(*package.split("."))
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    lines = re.findall(r"^ *([a-z]\w*(?:, \w+)*)(?:  .*\S| *)$", said, re.M)  # names, and what they are behind them
    listed = [name for line in lines for name in line.split(", ")]
    there = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert sorted(listed) == sorted(there - {"__init__"})
