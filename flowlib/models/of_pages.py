"""The small models that single pages load, each in one file of tensors; the recipes that build them are the library's.

What a page could train in minutes, a reader should not wait for: the docstring of each says which command made it.
"""

import safetensors.torch
from torch import Tensor, nn

from flowlib.core import Flow
from flowlib.datasets import Pendulum, TwoMoons
from flowlib.models.checkpoint import FOLDER
from flowlib.models.noise import noise_flow
from flowlib.models.posterior import Ensemble, posterior_flow
from flowlib.models.vae import VAE
from flowlib.models.vectors import flow_matching, residual_flow

MATCHED = {"hidden": [64, 64], "steps": 16}  # the flows of notebook 10


def planar_energies() -> dict[str, dict[str, Tensor]]:
    """Planar flows of length 2, 8, 32 fitted to the energies u1 to u4: {"u1, K = 2": its state_dict, ...}.

    `python -m tools.train_planar_energies` made them.

    >>> sorted(planar_energies()["u1, K = 2"])
    ['transform.b', 'transform.u', 'transform.w']
    """
    return states_of("planar_energies")


def states_of(file: str) -> dict[str, dict[str, Tensor]]:
    """The state_dicts of several flows in one file, whose tensors are called "flow/parameter"."""
    states: dict[str, dict[str, Tensor]] = {}
    for name, value in safetensors.torch.load_file(FOLDER / f"{file}.safetensors").items():
        flow, _, parameter = name.partition("/")
        states.setdefault(flow, {})[parameter] = value
    return states


def residual_moons() -> Flow:
    """The residual flow of notebook 09, fitted to two moons with noise 0.05, in eval mode.

    `python -m tools.residual_moons` made it.

    >>> residual_moons().sample(5).shape
    torch.Size([5, 2])
    """
    flow = residual_flow()
    flow.load_state_dict(safetensors.torch.load_file(FOLDER / "residual_moons.safetensors"))
    return flow.eval()


def matched_moons() -> dict[str, Flow]:
    """Three flows that learned two moons with noise 0.1 by flow matching, in eval mode: "straight" paths, "transport"
    and "diffusion" (notebook 10).

    `python -m tools.matched_moons` made them.

    >>> matched_moons()["straight"].sample(5).shape
    torch.Size([5, 2])
    """
    states = states_of("matched_moons")
    flows = {name: flow_matching(**MATCHED).eval() for name in ("straight", "transport", "diffusion")}
    for name, flow in flows.items():
        flow.load_state_dict(states[name])
    return flows


def posteriors() -> dict[str, Ensemble]:
    """Three posterior flows as one density for the simulators "two moons" and "pendulum", trained on 10,000 and
    30,000 runs.

    `python -m tools.posteriors` made them.

    >>> import torch
    >>> posteriors()["pendulum"].sample(5, torch.zeros(8)).shape
    torch.Size([5, 2])
    """
    states, found = states_of("posteriors"), {}
    for name, task in {"two moons": TwoMoons(), "pendulum": Pendulum()}.items():
        flows = [posterior_flow(task.low, task.high, task.observed).eval() for _ in range(3)]
        for k, flow in enumerate(flows):
            flow.load_state_dict(states[f"{name} {k}"])
        found[name] = Ensemble(flows)
    return found


def digit_vaes() -> dict[str, VAE]:
    """Two autoencoders of the 8 × 8 digits with codes of two numbers, by the kind of their posterior: "gaussian" and
    "spline", in eval mode.

    `python -m tools.vae` made them.

    >>> digit_vaes()["spline"].sample(3).shape
    torch.Size([3, 64])
    """
    states = states_of("digit_vaes")
    vaes = {kind: VAE(64, 17, dim=2, posterior=kind).eval() for kind in ("gaussian", "spline")}
    for kind, vae in vaes.items():
        vae.load_state_dict(states[kind])
    return vaes


def digit_classifier(trained: bool = True) -> nn.Sequential:
    """The classifier of notebook 12b: 8 × 8 digits as rows, divided by 16, to 16 features, and a head of ten classes.

    `python -m tools.rivals_digits` made its weights.

    Args:
        trained: with these weights, in eval mode; else with new ones.

    >>> import torch
    >>> features, head = digit_classifier()
    >>> features(torch.zeros(3, 64)).shape, head(features(torch.zeros(3, 64))).shape
    (torch.Size([3, 16]), torch.Size([3, 10]))
    """
    features = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU())
    net = nn.Sequential(features, nn.Linear(16, 10))
    if trained:
        net.load_state_dict(safetensors.torch.load_file(FOLDER / "digit_classifier.safetensors"))
        net.eval()
    return net


def camera_noise() -> Flow:
    """The flow of notebook 11b: noise of `flowlib.datasets.Camera` given clean 16 × 16 patches and ISO, in eval mode.

    `python -m tools.noise` made it.

    >>> import torch
    >>> camera_noise().sample(5, torch.full((257,), 0.5)).shape
    torch.Size([5, 1, 16, 16])
    """
    flow = noise_flow()
    flow.load_state_dict(safetensors.torch.load_file(FOLDER / "camera_noise.safetensors"))
    return flow.eval()


def rivals_plane() -> dict[str, Tensor]:
    """What a flow, a VAE, a GAN in three games and a diffusion model made of a ring of Gaussians (notebook 12a), in
    float16 and bytes, with 400 samples each:

        training/NAME/samples   (13, 400, 2), at 13 moments of the first seed
        training/NAME/levels    (13, 64, 64), 255 p / (p + 0.6) at the pixels of [−4, 4]², where there is a p
        judge/NAME              (64, 64), what the model has for telling an outlier, at the same pixels
        seeds/NAME              (10, 400, 2), at the end of each seed
        modes/NAME              (10, 400, 2), of rings with 1 to 10 Gaussians

    `python -m tools.rivals_plane` made them.

    >>> rivals_plane()["seeds/flow"].shape
    torch.Size([10, 400, 2])
    """
    return safetensors.torch.load_file(FOLDER / "rivals_plane.safetensors")
