"""Continuous flows in flowlib and its peers, with one network and as many passes through it.

zuko's `CNF` chooses its steps by itself, dopri5 at its default tolerances, and finds gradients by an adjoint equation
on the steps that it took. How often it asks its network, on the way from the data to the noise and on the way back, is
counted; flowlib takes the least number of steps that asks at least as often. The floor of both is the network alone,
asked once for each of flowlib's passes. The network: 2 → 64 → 64 → 2 and tanh; in zuko it sees six numbers of the time,
in flowlib two.

torchcfm has no training loop: what is timed is its own draw of times, points and velocities, and a step of Adam on the
same network. The floor there is a step of Adam on one pass of it.
"""

import importlib.util
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowlib import Flow
from flowlib.bases import StandardNormal
from flowlib.nets import VelocityMLP
from flowlib.training.matching import Matching
from flowlib.transforms import Continuous

HIDDEN = [64, 64]
HAS_ZUKO, HAS_TORCHCFM = (importlib.util.find_spec(name) is not None for name in ("zuko", "torchcfm"))


class Counted(nn.Module):
    """zuko's CNF, which counts the calls of its network."""

    def __init__(self) -> None:
        import zuko

        super().__init__()
        self.flow, self.calls = zuko.flows.CNF(2, hidden_features=HIDDEN, activation=nn.Tanh), 0
        self.flow.transform.ode.register_forward_hook(self.count)

    def count(self, *_: object) -> None:
        self.calls += 1

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow().log_prob(x)

    def sample(self, n: int) -> Tensor:
        return self.flow().sample((n,))

    def passes(self, call: Callable[[], Tensor]) -> int:
        """How often the network is asked in one call."""
        self.calls = 0
        with torch.no_grad():
            call()
        return self.calls


class FieldFloor(nn.Module):
    """The network alone, so many times."""

    def __init__(self, passes: int):
        super().__init__()
        self.field, self.passes = VelocityMLP(2, HIDDEN), passes

    def forward(self, x: Tensor) -> Tensor:
        return sum(self.field(x.new_tensor(k / self.passes), x).mean() for k in range(self.passes))


def cnf(passes: int) -> Flow:
    """flowlib's continuous flow with at least so many passes."""
    return Flow(Continuous(VelocityMLP(2, HIDDEN), math.ceil(passes / 4)), StandardNormal(2))


BATCH = 256


def matching(transport: bool) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """flowlib's flow for matching and its loss on a batch of data; without `Units`, since torchcfm has none."""
    flow = cnf(64)
    matching = Matching(flow, transport=transport)
    draws = matching.draws(BATCH)
    return flow, lambda x: matching.losses(*next(draws), x).mean()


def matching_of_torchcfm(transport: bool) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    from torchcfm import conditional_flow_matching as cfm

    kind = cfm.ExactOptimalTransportConditionalFlowMatcher if transport else cfm.ConditionalFlowMatcher
    field, matcher = VelocityMLP(2, HIDDEN), kind(sigma=0.0)

    def loss(x: Tensor) -> Tensor:
        t, at, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(x), x)
        return (field(t, at) - velocity).square().sum(-1).mean()

    return field, loss
