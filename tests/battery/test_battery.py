"""Every public transform × every check of the battery."""

import inspect

import pytest

import flowlib.transforms
from flowlib import Compose, Inverse, Transform
from tests.battery import gradients, maps, modules
from tests.battery.case import Case
from tests.battery.cases import CASES

CHECKS = maps.check | gradients.check | modules.check


@pytest.mark.parametrize("name", CHECKS, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test(case: Case, name: str) -> None:
    if name in case.not_for:
        pytest.skip(f"{case.name}: {case.not_for[name]}")
    CHECKS[name](case)


def test_every_public_transform_is_in_the_registry() -> None:
    named = [getattr(flowlib.transforms, name) for name in flowlib.transforms.__all__]
    public = {cls for cls in named if inspect.isclass(cls) and issubclass(cls, Transform)} | {Compose, Inverse}
    tested = {type(module) for case in CASES for module in case.make().modules() if isinstance(module, Transform)}
    assert public <= tested, f"not in tests/battery/cases.py: {sorted(cls.__name__ for cls in public - tested)}"


def test_exceptions_name_known_checks() -> None:
    assert {name for case in CASES for name in case.not_for} <= set(CHECKS)
