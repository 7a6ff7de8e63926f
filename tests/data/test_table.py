from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from PIL import Image

from fiducial.config import compose
from fiducial.data.assignment import assigned
from fiducial.data.columns import Columns
from fiducial.data.table import Table
from fiducial.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Write a CSV beside six pictures, grey 0 to 5, and read it."""
    for grey in range(6):
        Image.fromarray(np.full((3, 3), grey, np.uint8)).save(tmp_path / f"{grey}.png")

    def read(text: str | bytes, **options: Any) -> Table:
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Table(path=path, **options)

    return read


def lines(header: str, *values: str) -> str:
    return "\n".join([header, *(f"{number}.png,{value}" for number, value in enumerate(values))]) + "\n"


def test_all_columns_as_pandas_wrote_them(table: Any, tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "split": ["test", "train", "train", "val"],
            "subject": ["Müller, A.", 'the "second"', 'the "second"', "c"],
            "path": ["0.png", str(tmp_path / "1.png"), "2.png", "3.png"],
            "label": ["well", "ill", "well", "ill"],
            "age": [1, 2, 3, 4],
        }
    )
    source = table(frame.to_csv(index=False))
    cases = source.cases
    assert cases.case.tolist() == frame["path"].tolist()
    assert cases.subject.tolist() == frame["subject"].tolist()
    assert cases.split.tolist() == frame["split"].tolist()
    assert source.spec.classes == ("ill", "well")
    assert cases.label.tolist() == [1, 0, 1, 0]
    assert source.spec.target == "binary"
    assert [int(source.read(row).max()) for row in range(4)] == [0, 1, 2, 3]  # paths relative and absolute


def test_byte_order_mark_and_windows_line_ends(table: Any) -> None:
    source = table(b"\xef\xbb\xbfpath,label\r\n0.png, a\r\n\r\n1.png,b \r\n2.png,c\r\n")
    assert source.spec.classes == ("a", "b", "c")
    assert source.cases.label.tolist() == [0, 1, 2]
    assert source.spec.target == "multiclass"


def test_numbers_are_sorted_as_numbers(table: Any) -> None:
    source = table(lines("path,label", "10", "2", "1", "10"))
    assert source.spec.classes == ("1", "2", "10")
    assert source.cases.label.tolist() == [2, 1, 0, 2]
    assert table(lines("path,label", "0", "1", "2"), target="ordinal").spec.target == "ordinal"


def test_given_classes_set_the_order(table: Any) -> None:
    source = table(lines("path,label", "low", "high", "mid"), classes=["low", "mid", "high"], target="ordinal")
    assert source.cases.label.tolist() == [0, 2, 1]


def test_numbers_may_be_names(tmp_path: Path, table: Any) -> None:
    """Of classes and sites: a command line gives numbers, and the table has their text."""
    text = lines("path,label,site,split", *[f"{n % 2},{n},train" for n in range(5)], "1,5,test")
    source = table(text, classes=[1, 0])
    assert source.cases.label.tolist() == [1, 0, 1, 0, 1, 0]
    told = [f"data.source.path={tmp_path / 'table.csv'}", "data.source.classes=[1,0]", "data.leave_out=3"]
    table(text)
    composed = compose(["data=table", "data.source.size=[16,16]", *told])
    assert composed.cfg.data.spec.classes == ["1", "0"]
    moved = assigned(source, leave_out=composed.cfg.data.leave_out)
    assert moved.split.tolist().count("test") == 1
    assert moved.split[3] == "test"


def test_a_class_may_be_called_na_if_it_is_named(table: Any) -> None:
    assert table(lines("path,label", "NA", "a", "a"), classes=["a", "NA"]).cases.label.tolist() == [1, 0, 0]


def test_several_labels_in_one_column(table: Any) -> None:
    source = table(lines("path,label", "mass|fluid", "fluid", "", "mass | node"))
    assert source.spec.target == "multilabel"
    assert source.spec.classes == ("fluid", "mass", "node")
    np.testing.assert_array_equal(source.cases.label, [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]])


def test_several_columns_of_flags(table: Any) -> None:
    source = table(lines("path,mass,fluid", "1,0", "0,0", "1,1"), label_column=["mass", "fluid"])
    assert source.spec.target == "multilabel"
    assert source.spec.classes == ("mass", "fluid")
    np.testing.assert_array_equal(source.cases.label, [[1, 0], [0, 0], [1, 1]])


def test_other_column_names_and_a_draw_by_subject(table: Any) -> None:
    text = "file,kind,patient,part\n" + "".join(f"{n}.png,{'ab'[n % 2]},p{n // 2},train\n" for n in range(6))
    names = {"path_column": "file", "label_column": "kind", "subject_column": "patient"}
    cases = table(text, **names).cases
    assert cases.subject.tolist() == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert (cases.split[::2] == cases.split[1::2]).all()
    assert set(table(text, **names, split_column="part").cases.split) == {"train"}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path,lable\n0.png,a\n", {}, r"table\.csv: there is no column 'label'; did you mean lable\? .*path, lable"),
        ("", {}, r"table\.csv: the file is empty; expected a line of column names \(path, label\)"),
        ("file;label\n0.png;a\n", {}, r"there is no column 'path' \(there are: file, label\)"),
        (lines("path,label", *"ab" * 3) + "1.png,a\n5.png,b\n1.png,a\n", {}, r"1\.png \(lines 3, 8, 10\), 5\.png \(l"),
        (lines("path,label", "a"), {"subject_column": "patient"}, "there is no column 'patient'"),
        (lines("path,label", "a"), {"split_column": "fold"}, "there is no column 'fold'"),
        (lines("path,label,Subject", "a,p"), {}, r"table\.csv: the column 'Subject' would .*; call it 'subject', or"),
        (lines("path,label,SPLIT", "a,val"), {}, "'SPLIT' would not count; call it 'split'"),
        (lines("path,label,Site ", "a,x"), {}, "'Site' would not count; call it 'site'"),
        ("path,label,label\n0.png,a,b\n", {}, "there are two of label"),
        ("path,label\n", {}, "no line but its header"),
        ("path,label\n0.png,a\n1.png\n", {}, "line 3: expected 2 values"),
        ("path,label\n0.png,a,b\n", {}, "line 2: expected 2 values"),
        ('path,label\n0.png,"a\n', {}, "expected a CSV file in UTF-8"),
        ("path,label\n0.png,é\n".encode("latin-1"), {}, "expected a CSV file in UTF-8"),
        ("path,label\n0.png,a\n,b\n", {}, "line 3: the path is missing"),
        ('path,label\n0.png,"a\nb"\n\n1.png,c\n2.png,\n', {}, "line 6: the label is missing"),
        (lines("path,label", "a", "", "b"), {}, "line 3: the label is missing"),
        (lines("path,label", "a", "b|c"), {"target": "multiclass"}, "line 3: expected one label, got b and c"),
        (lines("path,label", "a", "b", "c"), {"classes": ["a", "b"]}, "line 4: label 'c' is none of the classes a, b"),
        (lines("path,label", "a", "a"), {}, "at least two classes are needed; column 'label' has only a"),
        (lines("path,label", "", ""), {}, r"column 'label' is empty in all 2 lines: fill it, .*source\.label_column"),
        (lines("path,label", "a", *[""] * 7, "b"), {}, "lines 3, 4, 5, 6, 7 and 2 more: the label is missing"),
        (
            lines("path,label", "a", "b", "c"),
            {"target": "binary"},
            "target has two classes; there are a, b, c",
        ),
        (lines("path,label", "lo", "hi"), {"target": "ordinal"}, r"not numbers need data\.source\.classes"),
        (lines("path,a,b", "1,0", "yes,0"), {"label_column": ["a", "b"]}, "line 3: a must be 0 or 1, got 'yes'"),
        (lines("path,label,subject", "a,p", "b, "), {}, "line 3: the subject is missing"),
        (lines("path,label,subject", "a,p", "b,NA"), {}, "line 3: the subject is missing"),
        (lines("path,label", "0", "1", "NA"), {}, "line 4: the label is missing"),
        (lines("path,label", "a", "nan", "b"), {"classes": ["a", "b"]}, "line 3: the label is missing"),
        (lines("path,label", "a|b", "", "NA", "b", "a|nan"), {}, "lines 4, 6: the label is missing .* field is empty"),
        (lines("path,label,split", "a,train", "b,valid"), {}, "line 3: split must be train, val, test; got 'valid'"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(
    table: Any, text: str | bytes, options: dict[str, Any], message: str
) -> None:
    source = table(text, **options)
    with pytest.raises(InputError, match=message):
        _ = source.files, source.spec, source.cases


def test_bad_target_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got multi_label; did you mean multilabel\?"):
        Table(path="t.csv", target="multi_label")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"there is no .*nowhere\.csv"):
        _ = Table(path=tmp_path / "nowhere.csv").cases


@pytest.mark.parametrize("pack", [True, False])
def test_missing_image_is_named_with_its_case(table: Any, tmp_path: Path, pack: bool) -> None:
    source = table(lines("path,label", "a", "b") + "gone.png,b\n", cache=tmp_path / "cache", pack=pack)
    with pytest.raises(InputError, match=r"case gone\.png: .*there is no .*"):
        source.read(2)


@pytest.mark.parametrize("sign", [";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_semicolons_and_tabs_separate_too(table: Any, sign: str, mark: str) -> None:
    text = lines("path,label,note", "a,x", "b,y", "a,z")
    other = table(mark + text.replace(",", sign))
    assert other.cases.case.tolist() == ["0.png", "1.png", "2.png"]
    assert other.rows == table(text).rows


def test_blanks_around_names_of_columns_do_not_matter(table: Any) -> None:
    cases = table(lines("path, label ,\tsubject", "a,p", "b,p", "a,q", "b,r")).cases
    assert cases.subject.tolist() == ["p", "p", "q", "r"]


def test_a_column_that_is_asked_for_by_name_may_be_called_anything(table: Any) -> None:
    """Nothing is then meant by it but what was asked."""
    assert table(lines("path,label,Subject", "a,p", "b,q", "a,r"), subject_column="Subject").cases.subject[1] == "q"
    columns = Columns(names=["Site"], categorical=["Site"])
    assert table(lines("path,label,Site", "a,p", "b,q"), columns=columns).spec.columns == ("Site=p", "Site=q")


def test_columns_without_a_name_are_left_out(table: Any) -> None:
    """Excel writes them behind the last column that is in use."""
    source = table("path;label;;\n0.png;a;;\n1.png;b;;\n2.png;b;;\n")
    assert source.rows[0] == {"path": "0.png", "label": "a"}
    assert source.cases.label.tolist() == [0, 1, 1]


def test_commas_separate_where_they_give_the_columns(table: Any) -> None:
    source = table("path,label,a;b;c;d\n0.png,x,1\n1.png,y,2\n2.png,x,3\n")
    assert list(source.rows[0]) == ["path", "label", "a;b;c;d"]


def test_unlabelled_cases_are_only_looked_at(table: Any) -> None:
    bare, part = table(lines("path,label", "", "")), lines("path,label", "b", "", "a", "b")
    bare.look_only()
    assert bare.spec.classes == ()
    assert bare.cases.label.tolist() == [-1, -1]
    source = table(part)
    source.look_only()
    assert source.spec.classes == ("a", "b")
    assert source.cases.label.tolist() == [1, -1, 0, 1]
