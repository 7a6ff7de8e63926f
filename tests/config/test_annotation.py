"""Values from a configuration are held against annotations; what is not certain fits."""

from __future__ import annotations

import ast
import sys
from typing import Any

import pytest

from fiducial.config.annotation import Annotation

MODULE = """
from typing import Literal
import annotated_names as itself
Cell = Literal["rnn", "gru", "lstm"]
Size = int | list[int]
class Box:
    pass
class Facts(TypedDict):
    size: int
"""


@pytest.fixture(scope="module", autouse=True)
def _module(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("site")
    (folder / "annotated_names.py").write_text(MODULE)
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


def annotation(text: str) -> Annotation:
    return Annotation("annotated_names", ast.parse(text, mode="eval").body)


@pytest.mark.parametrize(
    ("text", "fitting", "unfit"),
    [
        ("int", [3, -1], ["abc", 1.5, True, None, [1]]),
        ("float", [3, 0.5, float("inf")], ["abc", False, None]),
        ("bool", [True, False], [1, "yes"]),
        ("str", ["abc"], [3, True, None, {"a": 1}]),
        ("int | None", [3, None], ["abc"]),
        ("Optional[int]", [3, None], ["abc"]),
        ("Union[int, str]", [3, "abc"], [0.5]),
        ("'int | None'", [3, None], ["abc"]),
        ("Annotated[int, 'comment']", [3], ["comment"]),
        ("Literal['a', 1]", ["a", 1], ["b", 2, True]),
        ("int | Literal['auto']", [2, "auto"], ["all"]),
        ("Cell", ["gru"], ["gruu", 3]),
        ("Cell | None", [None, "lstm"], ["gruu"]),
        ("itself.Cell", ["gru"], ["gruu"]),
        ("Size", [3, [3, 4]], ["abc", [0.5]]),
        ("Sequence[int]", [[1, 2], []], [{"a": 1}, 1, "abc", ["a"], [0.5]]),
        ("list[float] | float", [[1, 0.5], 2], [["a"], "a"]),
        ("tuple[int, ...]", [[1, 2, 3]], [1, ["a"]]),
        ("tuple[float, float]", [[0.9, 0.99]], [[0.9], [0.9, "a"]]),
        ("float | Tensor", [0.1], ["abc"]),
        ("tuple[float | Tensor, float | Tensor]", [[0.9, 0.99]], [["a", 0.9]]),
        ("Tensor | None", ["balanced", None, [1, 2]], []),
        ("Unknown", ["abc", 3, None, {"a": 1}], []),
        ("Box | None", [None, {"_target_": "a.B", "size": 3}], [{"size": 3}]),
        ("Facts", [{"size": 3}], []),
        ("dict[str, int] | Mapping[str, int]", [{"a": 1}], []),
        ("Any", [{"a": 1}, 3], []),
        ("int | Unknown", ["abc", 3], []),
        ("Callable[..., int]", ["abc"], []),
        ("Any", ["abc", None], []),
        ("int", [{"_target_": "x.y"}], []),
    ],
)
def test_fit(text: str, fitting: list[Any], unfit: list[Any]) -> None:
    assert [value for value in fitting if not annotation(text).fits(value)] == []
    assert [value for value in unfit if annotation(text).fits(value)] == []


def test_no_annotation_fits_everything() -> None:
    assert Annotation("annotated_names", None).fits("abc")


@pytest.mark.parametrize(
    ("text", "written", "choices"),
    [
        ("int", "int", []),
        ("Cell", "rnn, gru or lstm", ["rnn", "gru", "lstm"]),
        ("int | Literal['auto'] | None", "int, auto or null", ["auto"]),
        ("bool | None", "bool or null", ["true", "false"]),
        ("Sequence[int]", "a list of int", []),
    ],
)
def test_text_and_choices(text: str, written: str, choices: list[str]) -> None:
    assert str(annotation(text)) == written
    assert annotation(text).choices == choices
