"""`posterior_flow` and `Ensemble`: a density on the prior's box, proved, and the mixture of several."""

import pytest
import torch

from flowlib import Given, prove
from flowlib.models import Ensemble, load, posterior_flow, real_nvp, save


def small() -> torch.nn.Module:
    torch.manual_seed(0)
    flow = posterior_flow([-1.0, 2.0], [1.0, 6.0], context_dim=3, layers=2, hidden=[8])
    for parameter in flow.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return flow.eval()


def test_every_log_det_is_proved() -> None:
    flow = small().double()
    assert prove(Given(flow.transform, torch.tensor([0.3, -1.0, 2.0]).double()))


def test_nothing_leaks_out_of_the_box_and_its_mass_is_one() -> None:
    flow, context = small(), torch.tensor([0.3, -1.0, 2.0])
    samples = flow.sample(2000, context)
    low, high = torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 6.0])
    assert (samples >= low).all() and (samples <= high).all()
    share = (torch.arange(300) + 0.5) / 300
    theta = low + (high - low) * torch.cartesian_prod(share, share)
    with torch.no_grad():
        mass = flow.log_prob(theta, context.expand(len(theta), 3)).exp().sum() * (8.0 / 300**2)
    assert abs(mass - 1.0) < 1e-2


def test_an_ensemble_is_the_mixture() -> None:
    flows = [real_nvp(layers=2).eval(), real_nvp(layers=2).eval(), real_nvp(layers=2).eval()]
    for k, flow in enumerate(flows):
        flow.transform.layers()[-2].shift.data.fill_(3.0 * k)
    x, mixture = torch.randn(5, 2), Ensemble(flows)
    by_hand = sum(flow.log_prob(x).exp() for flow in flows) / 3
    assert torch.allclose(mixture.log_prob(x).exp(), by_hand, rtol=1e-5)
    samples = mixture.sample(3001)
    assert samples.shape == (3001, 2) and abs(samples.mean() - 3.0) < 0.3
    assert Ensemble([small(), small()]).sample((7, 4), torch.randn(4, 3)).shape == (7, 4, 2)


def test_saved_and_loaded(tmp_path) -> None:
    flow, x = small(), torch.rand(4, 3)
    save(flow, tmp_path)
    theta = torch.tensor([0.1, 4.0]).expand(4, 2)
    assert torch.equal(load(tmp_path).log_prob(theta, x), flow.log_prob(theta, x))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="every low below its high"):
        posterior_flow([0.0, 1.0], [1.0, 1.0], 2)
    with pytest.raises(ValueError, match="same data shape and context size"):
        Ensemble([real_nvp(2), real_nvp(3)])
    with pytest.raises(ValueError, match="one or more flows"):
        Ensemble([])
