"""Every transform × every check of the battery."""

import fnmatch
import itertools
import sys
from collections.abc import Callable

import pytest
import torch

from flowlib import Given, Transform
from flowlib.core import Wrapper
from flowlib.transforms import Planar
from tests.battery import gradients, maps, modules
from tests.battery.case import Case
from tests.battery.cases import CASES, ILL_CONDITIONED
from tests.battery.tools import MARGINS

CHECKS = maps.check | gradients.check | modules.check
LARGE = (20, 50)  # vectors with a smaller twin: torch.compile reads their code, which has no other path for them
ALL = [(case, name) for case in CASES for name in CHECKS if name != "compiles whole" or case.size not in LARGE]


@pytest.mark.parametrize(("case", "name"), ALL, ids=[f"{case.name}-{name.replace(' ', '-')}" for case, name in ALL])
def test(case: Case, name: str, record_property: Callable[[str, object], None]) -> None:
    if name in case.not_for:
        pytest.skip(f"{case.name}: {case.not_for[name]}")
    MARGINS.clear()
    try:
        CHECKS[name](case)
    finally:
        record_property("margin", max(MARGINS, default=0.0))


def test_every_transform_is_in_the_registry() -> None:
    kinds = {cls for cls in subclasses(Transform) if cls.__module__.startswith(("flowlib.core", "flowlib.transforms"))}
    kinds = {cls for cls in kinds if getattr(sys.modules[cls.__module__], cls.__name__) is cls}  # not torch's copies
    tested = {type(module) for case in CASES for module in case.make().modules() if isinstance(module, Transform)}
    assert kinds <= tested, f"not in tests/battery/cases.py: {sorted(cls.__name__ for cls in kinds - tested)}"


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*map(subclasses, cls.__subclasses__())) - {Transform, Wrapper}


def test_exceptions_name_known_checks() -> None:
    excused = itertools.chain.from_iterable((*case.not_for, *case.ill_conditioned) for case in CASES)
    assert set(excused) <= set(CHECKS)


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.make(), Given)], ids=lambda case: case.name)
def test_the_context_is_seen(case: Case) -> None:
    given, z = case.build(), case.z()
    other = Given(given.transform, given.context + 1.0).double()
    for a, b in zip(given(z), other(z), strict=True):
        assert not torch.allclose(a, b)


def folding() -> Planar:
    """w·u = −4: three points land on one x near the ridge, and only one of them comes back."""
    return Planar(2, u=[-2.0, 0.0], w=[2.0, 0.0], b=0.0, constrain=False)


@pytest.mark.parametrize("name", ["round trip", "tails"])
def test_a_map_that_folds_is_caught(name: str) -> None:
    with pytest.raises(AssertionError, match="error"):
        CHECKS[name](Case("folding", folding, 2))


def test_every_pattern_of_the_ill_conditioned_names_a_case() -> None:
    patterns = {pattern for reasons in ILL_CONDITIONED.values() for names in reasons.values() for pattern in names}
    assert all(fnmatch.filter([case.name for case in CASES], pattern) for pattern in patterns)
