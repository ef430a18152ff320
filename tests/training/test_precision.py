"""Networks in bfloat16: they propose in eight bits, and the flow itself is right to single precision."""

import copy
import pickle

import pytest
import torch

from flowlib.models import maf, real_nvp
from flowlib.training.precision import networks_in_bfloat16


@pytest.mark.parametrize("recipe", [real_nvp, maf])
def test_log_dets_are_right_to_single_precision_though_networks_run_in_half(recipe):
    """By the slopes of autograd: a sum of log-slopes in bfloat16 would keep 8 bits of it.

    One layer, whose Jacobian is a triangle: below the diagonal autograd rounds as the network does, and it may."""
    torch.manual_seed(0)
    transform = recipe(dim=64, layers=1, hidden=[16]).transform
    transform.inverse(torch.randn(200, 64))  # the ActNorm finds its units
    with torch.no_grad():
        for parameter in transform.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    networks_in_bfloat16(transform)
    x = torch.randn(64)
    log_det = transform.inverse(x)[1]
    jacobian = torch.autograd.functional.jacobian(lambda x: transform.inverse(x)[0], x)
    assert log_det.dtype == torch.float32
    assert log_det.item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-4)
    assert (log_det - transform.eval().inverse(x)[1]).abs() > 1e-3  # they did round


@pytest.mark.parametrize("again", [copy.deepcopy, lambda flow: pickle.loads(pickle.dumps(flow))])
@pytest.mark.parametrize("recipe", [real_nvp, maf])
def test_a_copy_answers_with_its_own_weights(recipe, again):
    torch.manual_seed(0)
    flow = recipe(dim=4, layers=2, hidden=[16])
    names = list(flow.state_dict())
    networks_in_bfloat16(flow)
    copied, x = again(flow), torch.randn(50, 4)
    assert list(flow.state_dict()) == list(copied.state_dict()) == names
    assert copied.log_prob(x).equal(flow.log_prob(x))
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(torch.randn_like(parameter))
    plain = recipe(dim=4, layers=2, hidden=[16])
    plain.load_state_dict(copied.state_dict())
    assert (copied.log_prob(x) - plain.log_prob(x)).abs().max() > 0  # it rounds, too
    assert copied.eval().log_prob(x).equal(plain.eval().log_prob(x))
    assert "forward" not in {name for module in copied.modules() for name in vars(module)}
