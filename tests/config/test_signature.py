"""Signatures read from source are those that Python sees after an import."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from fiducial.config.location import conf_dir
from fiducial.config.schema import TRAINER
from fiducial.config.signature import signature

ELSEWHERE = {
    TRAINER,
    "pytorch_lightning.Trainer",
    "torch.optim.LBFGS",
    "torch.optim.lr_scheduler.StepLR",
    "torch.nn.Linear",
    "torch.nn.ReLU",
    "torch.nn.Conv2d",
    "monai.networks.nets.UNet",
    "monai.networks.nets.DynUNet",
    "monai.losses.DiceCELoss",
    "fiducial.data.source.Spec",
    "argparse.ArgumentParser",
    "difflib.Differ",
    "json.dumps",
}


def targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)


def shipped() -> set[str]:
    files = conf_dir().rglob("*.yaml")
    return {target for file in files for target in targets(yaml.safe_load(file.read_text()))}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of whatever the libraries say when they are imported
@pytest.mark.parametrize("target", sorted(shipped() | ELSEWHERE))
def test_same_as_python_sees(target: str) -> None:
    read = signature(target)
    assert read is not None
    module, _, name = target.rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters)
    assert read.names[: len(named)] == tuple(p.name for p in named)
    assert {name for name in read.required if name in read.names[: len(named)]} == {
        p.name for p in named if p.default is p.empty
    }
    assert takes_more or (len(read.names) == len(named) and not read.open)


MODULE = """
import abc
import dataclasses
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import ClassVar, Generic, NamedTuple, TypeVar

import signature_base
from signature_base import Base, decorated

T = TypeVar("T")

class Plain: ...
class Child(Base): ...
class Dotted(signature_base.Base): ...
class Abstract(abc.ABC, Generic[T]):
    def __init__(self, a, *, b=None): ...
class Second(Plain, Base): ...
class ABCNet(Base): ...
class OfABCNet(ABCNet): ...
class Unreadable(Missing, Base): ...
class Passing(Base):
    def __init__(self, own, **kwargs):
        super().__init__(own, second=2, **kwargs)
class Popping(Base):
    def __init__(self, own, **kwargs):
        self.extra = kwargs.pop("extra")
        super().__init__(own, **kwargs)
class Swallowing(Base):
    def __init__(self, own, **kwargs): ...
class Positional:
    def __init__(self, a, /, b, *args, c=1): ...
class New:
    def __new__(cls, a): ...
class Tuple(NamedTuple):
    x: int
class Enumerated(metaclass=signature_base.Meta): ...
@decorated
class Decorated: ...

@dataclass
class Fields:
    a: int
    _: KW_ONLY
    b: int | None = None
    c: list[int] = field(default_factory=list)
    d: int = field(init=False)
    e: int = field(repr=False, kw_only=True)
    f: InitVar[int] = 3
    g: ClassVar[int] = 4

@dataclasses.dataclass(frozen=True)
class MoreFields(Fields):
    a: int = 1
    h: float = dataclasses.field(default=0.5)

def function(x, y=None, **kwargs): ...
"""
BASE = """
class Meta(type): ...
def decorated(cls): return cls
class Base:
    def __init__(self, first, second, third=3, fourth=None): ...
"""


@pytest.fixture(scope="module", autouse=True)
def _modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder: Path = tmp_path_factory.mktemp("site")
    (folder / "signature_cases.py").write_text(MODULE)
    (folder / "signature_base.py").write_text(BASE)
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.mark.parametrize(
    ("name", "names", "required", "takes_more"),
    [
        ("Plain", (), set(), False),
        ("Child", ("first", "second", "third", "fourth"), {"first", "second"}, False),
        ("Dotted", ("first", "second", "third", "fourth"), {"first", "second"}, False),
        ("Abstract", ("a", "b"), {"a"}, False),
        ("OfABCNet", ("first", "second", "third", "fourth"), {"first", "second"}, False),
        ("Second", ("first", "second", "third", "fourth"), {"first", "second"}, False),
        ("Passing", ("own", "third", "fourth"), {"own"}, False),
        ("Popping", ("own", "second", "third", "fourth"), {"own", "second"}, True),
        ("Swallowing", ("own", "first", "second", "third", "fourth"), {"own"}, True),
        ("Positional", ("b", "c"), {"b"}, False),
        ("Fields", ("a", "b", "c", "e", "f"), {"a", "e"}, False),
        ("MoreFields", ("a", "b", "c", "e", "f", "h"), {"e"}, False),
        ("function", ("x", "y"), {"x"}, True),
    ],
)
def test_names(name: str, names: tuple[str, ...], required: set[str], takes_more: bool) -> None:
    read = signature(f"signature_cases.{name}")
    assert read is not None
    assert read.names == names
    assert read.required == required
    assert read.open is takes_more


@pytest.mark.parametrize("name", ["Unreadable", "New", "Tuple", "Enumerated", "Decorated", "T", "missing"])
def test_what_cannot_be_told_is_none(name: str) -> None:
    assert signature(f"signature_cases.{name}") is None


def test_default_of_none_is_known() -> None:
    read = signature("signature_cases.Abstract")
    assert read is not None
    assert read.optional == {"b"}
