"""The steps of a run: precision, layout, compilation, averaged weights, learning rate."""

from functools import partial

import torch

from flowlib.__main__ import prepared
from flowlib.models.checkpoint import read
from flowlib.training import trainer as training
from flowlib.training.evaluation import Score
from flowlib.training.loop import rate
from flowlib.training.precision import networks_in_bfloat16
from flowlib.training.settings import Settings
from flowlib.training.trainer import Objective, Trainer
from tests.training.trainer.runs import SMALL, trainer_of


def loss_of(trainer: Trainer) -> torch.Tensor:
    torch.manual_seed(0)
    return trainer.objective(*trainer.batch(torch.arange(32)), slice(None))


def test_networks_compute_in_bfloat16_and_log_determinants_in_float32(trainer):
    for _ in range(5):
        trainer.take_step(1e-2)  # a network that starts at zero rounds nothing
    exact = loss_of(trainer)
    networks_in_bfloat16(trainer.model)
    seen = []
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    rounded = loss_of(trainer)
    assert set(seen) == {torch.bfloat16} and rounded.dtype == torch.float32
    assert 0 < abs(rounded - exact) < 0.01
    _, log_det = trainer.model.flow.transform.inverse(torch.randn(2, 1, 8, 8))
    assert log_det.dtype == torch.float32
    seen.clear()
    trainer.model.eval()
    assert loss_of(trainer).isclose(exact, atol=1e-6) and torch.bfloat16 not in seen  # evaluated without rounding


def test_channels_last_changes_the_layout_alone(trainer, tmp_path):
    other = trainer_of(Settings(**SMALL, channels_last=True), tmp_path)
    kernels = [value for value in other.parameters.values() if value.dim() == 4 and value.shape[-1] == 3]
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in kernels)
    assert loss_of(other).isclose(loss_of(trainer), atol=1e-5)


def test_the_density_compiles_in_one_piece(trainer, monkeypatch):
    plain = loss_of(trainer)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    trainer.objective = Objective(trainer.model, compile=True)
    assert loss_of(trainer).isclose(plain, atol=1e-5)
    networks_in_bfloat16(trainer.model)
    torch._dynamo.reset()
    assert loss_of(trainer).isclose(plain, atol=1e-2)


def test_averaged_weights_are_lent_and_given_back(trainer):
    for _ in range(3):
        trainer.take_step(1e-2)
    own = {name: value.clone() for name, value in trainer.parameters.items()}
    with trainer.averaged_model() as model:
        assert not model.training
        assert any(not value.equal(own[name]) for name, value in trainer.parameters.items())
    assert trainer.model.training and all(value.equal(own[name]) for name, value in trainer.parameters.items())


def test_the_weights_that_were_best_are_kept(tmp_path, monkeypatch):
    found = iter([3.0, 2.0, 2.5])
    monkeypatch.setattr(training, "score", lambda *_: Score(1, 1, next(found, 9.0), 0.1, 1.0, 0.1))
    seen = []
    evaluate = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda self, pace: (evaluate(self, pace), seen.append(self.kept())))
    settings = Settings(**SMALL, steps=6, evaluate_every=2)
    training.train(settings, *prepared(settings), tmp_path)
    card, tensors = read(tmp_path, "model")
    assert card["validation"]["step"] == 4 and card["steps"] == 6
    assert all(value.equal(seen[1][name]) for name, value in tensors.items())
    assert not all(value.equal(seen[0][name]) for name, value in tensors.items())


def test_the_learning_rate_grows_and_falls():
    assert [round(rate(progress, 0.2), 4) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)] == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert rate(0.0, 0.0) == 1.0
