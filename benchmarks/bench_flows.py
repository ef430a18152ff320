"""flowlib beside its peers and beside the floor, in one run: `make bench`.

The same architecture in every library, parameter counts printed, one thread, float32, default Adam. In each round every
library takes its turn, so a slow moment of the machine hits all of them; reported is the median over rounds of CPU time
divided by the floor's CPU time in the same round. The floor is the conditioner networks alone. "compiled" has the loss
and Adam's step under torch.compile; everything else, the floor too, runs as written.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks import continuous_peers, residual_peers
from benchmarks.peers import BUILDERS, floor

PEER_COLUMNS = ["flowlib", "flowlib compiled", "zuko", "nflows", "normflows", "FrEIA"]
GOALS = {"RealNVP": (1.15, 0.90), "NSF": (2.5, 1.2), "MAF": (1.28, 1.0), "planar": (0.75, 0.45), "Glow": (1.25, 1.0)}
LARGE = 100_000


def data(task: str, n: int) -> Tensor:
    if task == "Glow":
        return torch.randn(128, 1, 8, 8)
    return torch.randn(n, 8 if task == "MAF" else 2)


def floor_input(task: str, x: Tensor) -> Tensor:
    return x[:, :1] if task in ("RealNVP", "NSF") else x


def energy_u2(z: Tensor) -> Tensor:
    """U2 of Rezende and Mohamed (2015), table 1."""
    return 0.5 * ((z[:, 1] - torch.sin(0.5 * torch.pi * z[:, 0])) / 0.4).square() + 0.1 * z[:, 0].square()


def training_step(module: nn.Module, loss: Callable[[], Tensor], compiled: bool = False) -> Callable[[], None]:
    """One step of the default Adam; compiled: the loss and Adam's step under torch.compile."""
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=1e-3)
    update = torch.compile(optimizer.step) if compiled else optimizer.step
    loss = torch.compile(loss) if compiled else loss

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        update()

    return step


def reverse_kl(name: str, flow: nn.Module, batch: int) -> Callable[[], Tensor]:
    if name == "flowlib":

        def loss() -> Tensor:
            x, log_prob = flow.sample_with_log_prob(batch)
            return (log_prob + energy_u2(x)).mean()
    else:

        def loss() -> Tensor:
            x, log_prob = flow.sample(batch)
            return (log_prob + energy_u2(x)).mean()

    return loss


def seconds(call: Callable[[], None]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def ratios(calls: dict[str, Callable[[], None]], rounds: int, repeats: int) -> dict[str, float]:
    """Median over the rounds of each call's CPU time over that of the call named "floor"."""
    for call in calls.values():
        call()
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(sum(seconds(call) for _ in range(repeats)))
    return {
        name: statistics.median(t / f for t, f in zip(times, taken["floor"], strict=True))
        for name, times in taken.items()
    }


def training(task: str, rounds: int) -> tuple[dict[str, float], dict[str, int]]:
    x, counts = data(task, 512), {}
    bottom = floor(task)
    if task == "planar":
        calls = {"floor": training_step(bottom, lambda: energy_u2(bottom(torch.randn(512, 2))).mean())}
    else:
        calls = {"floor": training_step(bottom, lambda: bottom(floor_input(task, x)))}
    for name, build in BUILDERS[task].items():
        flow = build()
        counts[name] = sum(p.numel() for p in flow.parameters() if p.requires_grad)
        loss = reverse_kl(name, flow, 512) if task == "planar" else (lambda flow=flow: -flow.log_prob(x).mean())
        calls[name] = training_step(flow, loss)
        if name == "flowlib":
            calls["flowlib compiled"] = training_step(flow, loss, compiled=True)
    return ratios(calls, rounds, 20), counts


def evaluation(task: str, direction: str, rounds: int) -> dict[str, float]:
    """log_prob or sampling of 100,000 points; the floor is one pass of the networks, for MAF's samples D passes."""
    x, bottom = data(task, LARGE), floor(task)
    passes = 8 if (task, direction) == ("MAF", "sample") else 1
    calls: dict[str, Callable[[], object]] = {"floor": lambda: [bottom(floor_input(task, x)) for _ in range(passes)]}
    for name, build in BUILDERS[task].items():
        flow = build()
        calls[name] = (
            (lambda flow=flow: flow.log_prob(x)) if direction == "log_prob" else (lambda flow=flow: flow.sample(LARGE))
        )
    with torch.no_grad():
        return ratios(calls, rounds, 1)


def continuous(rounds: int) -> None:
    """A training step of a continuous flow and its samples, beside zuko's with as many passes of the same network."""
    x, few = data("CNF", 512), max(3, rounds // 3)
    zuko = continuous_peers.Counted() if continuous_peers.HAS_ZUKO else None
    for what in ("training step", "sampling"):
        sampling = what == "sampling"
        passes = zuko.passes(lambda s=sampling: zuko.sample(512) if s else zuko.log_prob(x)) if zuko else 64
        flow = continuous_peers.cnf(passes)
        bottom = continuous_peers.FieldFloor(flow.transform.costs[0].passes)
        modules = {"flowlib": flow} | ({"zuko": zuko} if zuko else {})
        calls: dict[str, Callable[[], object]] = {"floor": training_step(bottom, lambda b=bottom: b(x))}
        for name, module in modules.items():
            calls[name] = training_step(module, lambda module=module: -module.log_prob(x).mean())
        if sampling:
            calls = {name: lambda module=module: module.sample(512) for name, module in modules.items()}
            calls["floor"] = lambda b=bottom: b(x)
        with torch.set_grad_enabled(not sampling):
            line(f"CNF {what}", ratios(calls, few, 3), f"zuko {passes} passes, flowlib {bottom.passes}")


def matching(rounds: int) -> None:
    """A step of flow matching beside torchcfm's with the same network, with and without optimal transport."""
    x = data("flow matching", continuous_peers.BATCH)
    for transport in (False, True):
        bottom = continuous_peers.FieldFloor(1)
        calls = {"floor": training_step(bottom, lambda bottom=bottom: bottom(x))}
        pairs = {"flowlib": continuous_peers.matching}
        if continuous_peers.HAS_TORCHCFM:
            pairs["torchcfm"] = continuous_peers.matching_of_torchcfm
        for name, build in pairs.items():
            module, loss = build(transport)
            calls[name] = training_step(module, lambda loss=loss: loss(x))
        found = ratios(calls, rounds, 20)
        goal = f"torchcfm {found['torchcfm']:.2f}" if "torchcfm" in found else ""
        line(f"matching step{', transport' * transport}", found, goal)


CONTINUOUS = {"CNF": continuous, "flow-matching": matching}


def profile(task: str, steps: int = 50) -> None:
    """Where a step of flowlib spends more than the floor: calls and µs a step, the dearest operations first."""
    x, bottom, flow = data(task, 512), floor(task), BUILDERS[task]["flowlib"]()
    found = []
    for module, loss in ((bottom, lambda: bottom(floor_input(task, x))), (flow, lambda: -flow.log_prob(x).mean())):
        step = training_step(module, loss)
        step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as trace:
            for _ in range(steps):
                step()
        found.append({e.key: (e.count / steps, e.self_cpu_time_total / steps) for e in trace.key_averages()})
    below, above = found
    more = {key: (n - below.get(key, (0, 0))[0], t - below.get(key, (0, 0))[1]) for key, (n, t) in above.items()}
    print(f"{task}: what a step of flowlib has above the floor\n{'operation':<60}{'calls':>8}{'µs':>8}")
    for key, (calls, time_above) in sorted(more.items(), key=lambda item: -item[1][1])[:20]:
        print(f"{key[:58]:<60}{calls:8.1f}{time_above:8.1f}")
    print(f"{'all':<60}{sum(n for n, _ in more.values()):8.1f}{sum(t for _, t in more.values()):8.1f}")


def line(label: str, found: dict[str, float], goal: str = "") -> None:
    cells = "".join(f"{found[name]:>18.2f}" if name in found else f"{'':>18}" for name in PEER_COLUMNS)
    print(f"{label:<22}{cells}  {goal}", flush=True)


def residual(task: str, rounds: int) -> tuple[dict[str, float], dict[str, int]]:
    """A training step of residual blocks, see benchmarks/residual_peers.py."""
    x, counts, bottom = data(task, 512), {}, residual_peers.ResidualFloor()
    calls = {"floor": training_step(bottom, lambda: bottom(x))}
    for name, build in residual_peers.BUILDERS[task].items():
        flow = build()
        counts[name] = sum(p.numel() for p in flow.parameters() if p.requires_grad)
        calls[name] = training_step(flow, lambda flow=flow: -flow.log_prob(x).mean())
    return ratios(calls, rounds, 5), counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    everything = [*BUILDERS, *residual_peers.BUILDERS, *CONTINUOUS]
    parser.add_argument("--tasks", nargs="*", default=everything)
    parser.add_argument(
        "--profile", metavar="TASK", choices=["RealNVP", "NSF", "MAF", "Glow"], help="compare with the floor only"
    )
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if options.profile:
        return profile(options.profile)
    print("multiples of the floor, smaller is better")
    print(f"{'':<22}" + "".join(f"{name:>18}" for name in PEER_COLUMNS))
    for task in options.tasks:
        if task in CONTINUOUS:
            CONTINUOUS[task](options.rounds)
            continue
        if task in residual_peers.BUILDERS:
            found, counts = residual(task, options.rounds)
            line(f"{task} step", found, "goal: ahead of all")
        else:
            found, counts = training(task, options.rounds)
            plain, compiled = GOALS[task]
            line(f"{task} training step", found, f"goal {plain} and compiled {compiled}")
        print(f"{'  parameters':<22}" + "".join(f"{counts.get(name, ''):>18}" for name in PEER_COLUMNS))
        if task not in ("planar", "Glow", *residual_peers.BUILDERS):
            line(f"{task} log_prob", evaluation(task, "log_prob", max(3, options.rounds // 5)))
            goal = "goal 0.2" if task == "MAF" else ""
            line(f"{task} sampling", evaluation(task, "sample", max(3, options.rounds // 5)), goal)


if __name__ == "__main__":
    main()
