"""A run that is over, one that is about to begin, and a command that fails."""

import pytest

from flowlib.training.settings import Settings
from tests.training.trainer.runs import RUN, SMALL, flowlib, trainer_of


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """A run of 60 steps from start to end."""
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    assert flowlib("train", *RUN, "--out", out) == 0
    return out


@pytest.fixture
def trainer(tmp_path):
    """Before its first step."""
    return trainer_of(Settings(**SMALL), tmp_path)


@pytest.fixture
def says(capsys):
    """Run a command that must fail, and what it says."""

    def run(*words: object) -> str:
        capsys.readouterr()
        assert flowlib(*words) == 2
        return capsys.readouterr().err

    return run
