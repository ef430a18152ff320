"""What notebook 09 says about its stored table and about the flow that is stored with it."""

import json

import torch

from flowlib.datasets import toy
from flowlib.models import residual_moons
from flowlib.transforms import Exact, PowerSeries, Residual
from tools.residual_moons import NOISE, OUT, WAYS, above, use

ROWS = {row["way"]: row for row in json.loads(OUT.read_text())["rows"]}


def test_the_table_is_whole():
    assert list(ROWS) == list(WAYS)


def test_few_terms_claim_what_no_density_can_keep():
    assert ROWS["1 term"]["claimed"] < -16 and ROWS["1 term"]["gap"] > 2
    assert ROWS["2 terms"]["claimed"] < -5 and ROWS["4 terms"]["claimed"] < -2
    gaps = [ROWS[way]["gap"] for way in ("exact", "4 terms", "2 terms", "1 term")]
    assert gaps == sorted(gaps) and gaps[1] > 5 * gaps[0]


def test_the_others_come_within_a_twentieth_of_a_nat():
    for way in ("exact", "10 terms", "roulette"):
        assert 0 < ROWS[way]["claimed"] < 0.05 and 0 < ROWS[way]["gap"] < 0.05


def test_with_one_term_the_claim_improves_while_the_flow_gets_worse():
    _, claimed, exact = zip(*ROWS["1 term"]["curve"], strict=True)
    assert claimed[-1] < claimed[len(claimed) // 2] < claimed[1] and exact[-1] > exact[0]


def test_the_stored_flow_is_the_one_of_the_table():
    data = toy.two_moons(noise=NOISE)
    x = data.sample(2000, seed=3)
    floor = data.log_prob(x)
    flow = residual_moons()
    assert above(flow, Exact(), x, floor) < 0.06
    assert above(flow, PowerSeries(1), x, floor) < -0.5


def test_its_layers_keep_their_bound_and_use_it():
    layers = [module for module in use(residual_moons(), Exact()).modules() if isinstance(module, Residual)]
    x = toy.two_moons(noise=NOISE).sample(500, seed=4)
    with torch.no_grad():
        z = residual_moons().transform.inverse(x)[0]
        largest = []
        for layer in reversed(layers):  # from noise to data
            z = layer.inverse(z)[0]
            j = torch.func.vmap(torch.func.jacrev(layer.net))(z)
            largest.append(torch.linalg.matrix_norm(j, ord=2).max().item())
    assert len(largest) == 16 and 0.8 < max(largest) < 0.97
