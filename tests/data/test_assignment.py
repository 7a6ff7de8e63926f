from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fiducial.data.assignment import assigned
from fiducial.data.phantom import Phantom
from fiducial.data.split_file import as_text, from_file
from fiducial.data.table import Table
from fiducial.errors import InputError

SOURCE = Phantom(num_subjects=12, images_per_subject=2, size=[8, 8])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "splits.csv"


def test_what_is_written_is_read_again(file: Path) -> None:
    cases = assigned(SOURCE, fold=1, num_folds=3)
    file.write_text(as_text(cases))
    np.testing.assert_array_equal(assigned(SOURCE, splits=file).split, cases.split)
    assert (cases.split != SOURCE.cases.split).any(), "it is the file that decides"


def test_a_file_may_speak_of_subjects(file: Path) -> None:
    names = sorted(set(SOURCE.cases.subject.tolist()))
    lines = [f"{name},{('train', 'val', 'test')[number % 3]}" for number, name in enumerate(names)]
    file.write_text("\n".join(["subject,split", *lines]))
    cases = from_file(SOURCE.cases, file)
    assert [cases.split[cases.subject == name].tolist() for name in names[:3]] == [
        ["train"] * 2,
        ["val"] * 2,
        ["test"] * 2,
    ]


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_file_that_excel_wrote(sign: str, file: Path) -> None:
    """Semicolons or tabs, a byte order mark, and empty columns behind the last one."""
    lines = [line.replace(",", sign) + sign for line in as_text(SOURCE.cases).splitlines()]
    file.write_text("\n".join(lines), encoding="utf-8-sig")
    assert from_file(SOURCE.cases, file).split.tolist() == SOURCE.cases.split.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,split\nsubject00000,train\n", "no split for subject subject00001, .* and 6 more"),
        ("subject,split\nsubject00x11,train\n", "no subject subject00x11; did you mean subject00011"),
        ("subject,split\nsubject00000,training\n", "line 2: split must be train, val, test; got 'training'"),
        ("subject,split\nsubject00000,val\nsubject00000,test\n", "line 3: subject subject00000 is in val and in test"),
        ("patient,split\na,train\n", "expected the columns case or subject, and split; got patient, split"),
        ("", "got none"),
    ],
)
def test_files_that_cannot_be_used_are_named(text: str, message: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        from_file(SOURCE.cases, file)
    assert "splits.csv" in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        assigned(SOURCE, splits=tmp_path / "none.csv")


def table(tmp_path: Path, sites: str) -> Table:
    lines = [f"{n}.png,{n % 2},p{n // 2},{site}" for n, site in enumerate(sites)]
    (tmp_path / "cases.csv").write_text("\n".join(["path,label,subject,site", *lines]))
    return Table(path=tmp_path / "cases.csv")


def test_one_site_is_tested_and_the_others_train(tmp_path: Path) -> None:
    source = table(tmp_path, "aabbccaabbccaaccbbccaa")
    cases, sites = assigned(source, leave_out="b", num_folds=4), source.sites
    assert sites is not None
    assert set(cases.split[sites == "b"]) == {"test"}
    assert set(cases.split[sites != "b"]) == {"train", "val"}
    for name in set(cases.subject.tolist()):
        assert len(set(cases.split[cases.subject == name].tolist())) == 1
    other = assigned(source, leave_out="b", fold=1, num_folds=4)
    assert not ((cases.split == "val") & (other.split == "val")).any(), "another fold validates"


@pytest.mark.parametrize(
    ("sites", "leave_out", "message"),
    [("aabbaabb", "c", r"no site 'c' \(sites: a, b\)"), ("aaaaaaaa", "a", "none is left to train on")],
)
def test_sites_that_cannot_be_left_out(sites: str, leave_out: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        assigned(table(tmp_path, sites), leave_out=leave_out)


def test_sites_need_a_column_and_no_other_say() -> None:
    with pytest.raises(InputError, match="data=table or data=mask_table with a column `site`"):
        assigned(SOURCE, leave_out="a")
    with pytest.raises(InputError, match="give one of them"):
        assigned(SOURCE, leave_out="a", splits="splits.csv")


def test_folds_that_are_tested_are_named_and_the_only_word_on_it() -> None:
    whole = assigned(SOURCE, fold=1, num_folds=3, test_folds=True)
    assert {name: int((whole.split == name).sum()) for name in ("train", "val", "test")} == dict.fromkeys(
        ("train", "val", "test"), 8
    )
    with pytest.raises(InputError, match=r"data.fold=0,1,2,3,4 with -m"):
        assigned(SOURCE, test_folds=True)
    for given in ({"splits": "a.csv"}, {"leave_out": "oslo"}):
        with pytest.raises(InputError, match=f"data.test_folds and data.{next(iter(given))} both say what is tested"):
            assigned(SOURCE, fold=0, test_folds=True, **given)


def test_a_number_of_folds_without_a_fold_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.num_folds=3 needs data\.fold"):
        assigned(SOURCE, num_folds=3)
    assert set(assigned(SOURCE, num_folds=3, fold=0).split.tolist()) == {"train", "val", "test"}
