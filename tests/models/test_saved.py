"""A flow of one's own, saved and loaded: the same numbers, and a sentence where it cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flowlib import Flow, load, models, save
from flowlib.__main__ import main
from flowlib.bases import Base, DiagonalNormal, NormalMixture, StandardNormal, Uniform
from flowlib.models import maf, real_nvp
from flowlib.transforms import Planar
from tests.models.test_copies import moved
from tests.models.test_vectors import ALL, GREEDY, IMAGES, PUSHES, build


def trained(flow: Flow, x: torch.Tensor, context: torch.Tensor | None = None) -> Flow:
    """Units learned, every network heard."""
    flow.train().log_prob(x, context).sum().backward()
    return moved(flow).eval()


@pytest.mark.parametrize("name", ALL)
def test_loaded_is_what_was_saved(name: str, tmp_path: Path) -> None:
    arguments = {"fast": "density"} if name in PUSHES else {}
    flow = build(name, dim=3, **({} if name in GREEDY else {"context_dim": 2}), **arguments)
    x, context = 1e8 + torch.randn(6, 3).double(), None if name in GREEDY else 1e4 * torch.randn(6, 2)
    trained(flow, x, context)
    save(flow, tmp_path / "mine")
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    loaded = load(tmp_path / "mine")
    assert torch.equal(torch.rand(1), expected)
    assert not loaded.training and torch.equal(loaded.log_prob(x, context), flow.log_prob(x, context))
    z = torch.randn(6, 3)
    assert loaded.generate(z, context).dtype == torch.float64
    assert torch.equal(loaded.generate(z, context), flow.generate(z, context))
    save(loaded, tmp_path / "again")
    cards = [json.loads((tmp_path / folder / "model.json").read_text()) for folder in ("mine", "again")]
    assert cards[0] == cards[1]


BASES = {
    "normal": lambda: DiagonalNormal([1.0, 2.0], [0.3, 0.5]),
    "uniform": lambda: Uniform([-9.0, -8.0], [9.0, 7.0]),
    "mixture": lambda: NormalMixture([[-2.0, 0.1], [2.0, 0.7], [0.3, 0.4]], 0.5, [0.2, 0.3, 0.5]),
}


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_its_base_and_its_precision_come_along(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    flow = build("real_nvp", base=BASES[name](), hidden=(np.int64(8),)).to(dtype)
    x = torch.randn(5, 2, dtype=dtype)
    trained(flow, x)
    save(flow, str(tmp_path))
    loaded = load(str(tmp_path))
    assert type(loaded.base) is type(flow.base)
    assert torch.equal(loaded.log_prob(x), flow.log_prob(x)) and loaded.log_prob(x).dtype == dtype


class Own(StandardNormal):
    pass


def changed() -> Flow:
    flow = maf(layers=2)
    flow.transform = real_nvp(layers=2).transform
    return flow


def cast() -> Flow:
    flow = real_nvp(layers=2)
    flow.transform.transforms[0].transforms[1].half()
    return flow


REFUSED = {
    "by hand": (
        lambda: Flow(Planar(2), StandardNormal(2)),
        "no recipe of flowlib.models built this flow.*flow.state_dict",
    ),
    "own base": (lambda: real_nvp(layers=2, base=Own(2)), "the base is a Own; a card can name StandardNormal"),
    "changed": (changed, "save: the flow was changed since: the card does not fit the tensors"),
    "cast": (cast, "parts were exchanged or cast.*flow.state_dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_saved(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        save(make(), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(TypeError, match="save expects a Flow; got Planar"):
        save(Planar(2), tmp_path)


@pytest.mark.parametrize("name", IMAGES)
def test_a_flow_of_images(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    flow, x, context = getattr(models, name)((1, 4, 4), context_dim=2), torch.randn(6, 1, 4, 4), torch.randn(6, 2)
    trained(flow, x, context)
    save(flow, tmp_path)
    assert torch.equal(load(tmp_path).log_prob(x, context), flow.log_prob(x, context))


def test_a_trained_image_model_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"format": 2, "tensors": {"file": "a", "bytes": 1, "sha256": ""}}')
    with pytest.raises(ValueError, match="holds an image model, which would be lost"):
        save(real_nvp(layers=2), tmp_path)


CARDS = {
    "recipe": ({"recipe": "glwo"}, "names the recipe 'glwo'; this flowlib has .*planar_flow"),
    "no name": ({"recipe": ["maf"]}, r"names the recipe \['maf'\]"),
    "arguments": ({"arguments": {"depth": 3}}, "maf cannot be built from its card.*'depth'"),
    "other sizes": ({"arguments": {"dim": 2, "layers": 1}}, "the card does not fit the tensors"),
    "no arguments": ({"arguments": 3}, "maf cannot be built from its card"),
    "base": ({"base": "Own"}, "names the base 'Own'"),
    "dtype": ({"dtype": "int8"}, "names the dtype 'int8'"),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_that_says_something_else(name: str, tmp_path: Path) -> None:
    save(maf(layers=2), tmp_path)
    change, words = CARDS[name]
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=words):
        load(tmp_path)
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "base"}))
    with pytest.raises(ValueError, match="the card says nothing of base"):
        load(tmp_path)


def test_a_damaged_file_and_another_folder(tmp_path: Path) -> None:
    save(maf(layers=2), tmp_path)
    [tensors] = tmp_path.glob("*.safetensors")
    content = tensors.read_bytes()
    tensors.write_bytes(content[:-8])
    with pytest.raises(ValueError, match="is damaged: it has"):
        load(tmp_path)
    tensors.write_bytes(content[:-1] + b"?")
    with pytest.raises(ValueError, match="the hashes differ"):
        load(tmp_path)
    (tmp_path / "other").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "other" / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="is no checkpoint without it"):
        load(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match=r"flowlib.save. has written"):
        load(tmp_path / "nowhere")


def test_the_command_line_says_that_it_is_for_images(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save(maf(layers=2), tmp_path)
    assert main(["info", str(tmp_path)]) != 0
    assert "holds a flow on vectors" in capsys.readouterr().err


def test_every_base_of_flowlib_can_be_saved() -> None:
    from flowlib import bases
    from flowlib.models.saved import BASES as known

    own = {name for name, kind in vars(bases).items() if isinstance(kind, type) and issubclass(kind, Base)}
    assert own - {"Base"} == set(known)
