"""Names are found in source files, and nothing is imported to find them."""

from __future__ import annotations

import ast
import sys

import pytest

from fiducial.config.definition import check_exists, find, visible
from fiducial.errors import InputError

PACKAGE = {
    "__init__.py": "from .core import Named as Renamed\nfrom .stars import *\nfrom . import core as inner\n",
    "core.py": '''
"""class Named: is written here in a string, at the start of a line.

def hidden(): so is this
"""
import functools

TEXT = """
class Decorated: not this one
"""

@functools.total_ordering
@functools.cache
class Decorated:
    pass

class Named:
    """Text
at the start of a line, which breaks the class into pieces.
"""
    def __init__(self, depth: int = 3) -> None: ...

Alias = Named
try:
    from json import JSONDecoder
except ImportError:
    JSONDecoder = None
if True:
    def conditional(): ...
else:
    def otherwise(): ...
''',
    "stars.py": "from .deep import *\n_private = 1\n",
    "deep.py": "class Deep: ...\n",
    "dynamic.py": "def __getattr__(name): return 1\n",
    "broken.py": "class Here:\n    pass\n\nclass Broken(\n",
    "cyclic.py": "from .cyclic import Cyclic\nRound = Round\n",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("site")
    (folder / "namesake").mkdir()
    for name, text in PACKAGE.items():
        (folder / "namesake" / name).write_text(text)
    sys.path.append(str(folder))
    yield "namesake"
    sys.path.remove(str(folder))
    assert not [name for name in sys.modules if name.startswith("namesake")]


@pytest.mark.parametrize(
    ("name", "module", "line"),
    [
        ("core.Named", "core", "class Named"),
        ("Renamed", "core", "class Named"),
        ("core.Alias", "core", "class Named"),
        ("Deep", "deep", "class Deep"),
        ("core.Decorated", "core", "class Decorated"),
        ("core.conditional", "core", "def conditional"),
        ("core.otherwise", "core", "def otherwise"),
    ],
)
def test_definition_is_found(package: str, name: str, module: str, line: str) -> None:
    found = find(f"{package}.{name}")
    assert found is not None
    assert found.module == f"{package}.{module}"
    undecorated = [text for text in ast.unparse(found.node).splitlines() if not text.startswith("@")]
    assert undecorated[0].startswith(line)


def test_definition_in_another_package(package: str) -> None:
    found = find(f"{package}.core.JSONDecoder")
    assert found is not None
    assert found.module == "json.decoder"


@pytest.mark.parametrize("name", ["core.hidden", "core.Missing", "cyclic.Cyclic", "cyclic.Round", "dynamic.Any"])
def test_what_is_not_defined_is_not_found(package: str, name: str) -> None:
    assert find(f"{package}.{name}") is None


def test_visible_names(package: str) -> None:
    assert visible(f"{package}.core") == {
        *("functools", "TEXT", "Decorated", "Named", "Alias", "JSONDecoder", "conditional", "otherwise")
    }
    assert visible(package) == {
        *("Renamed", "inner", "Deep", "_private"),
        *("core", "stars", "deep", "dynamic", "broken", "cyclic"),
    }
    assert visible(f"{package}.dynamic") is None
    assert visible("math") is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("namesake.core.Namde", "namesake.core has no Namde; did you mean Named?"),
        ("namesake.Renamde", "namesake has no Renamde; did you mean Renamed?"),
        ("namesake.corre.Named", "namesake has no corre; did you mean core?"),
        ("namesake.core", "is a module; expected a class"),
        ("nowhere.Thing", "there is no module nowhere"),
        ("Thing", "is not of the form package.module.Name"),
        ("a b.c", "is not of the form package.module.Name"),
        ("torch.optim.Adan", "torch.optim has no Adan; did you mean Adam?"),
        ("monai.networks.nets.DenseNet122", "did you mean DenseNet121?"),
        ("torch.nn.Liner", "did you mean Linear?"),
    ],
)
def test_what_is_not_there_is_refused(package: str, target: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        check_exists(target)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "target", ["namesake.core.Named.make", "namesake.dynamic.Whatever", "math.sqrt", "torch.tensor"]
)
def test_what_may_be_there_is_accepted(package: str, target: str) -> None:
    check_exists(target)


def test_syntax_error_names_file_and_line(package: str) -> None:
    assert find(f"{package}.broken.Here") is not None
    with pytest.raises(InputError, match=r"broken\.py, line 4"):
        find(f"{package}.broken.Broken")
