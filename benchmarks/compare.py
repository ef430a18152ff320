"""flowlib's own rows of the benchmark in two checkouts, in one process, turn about: what a change costs.

    python -m benchmarks.compare CHECKOUT          e.g. one made by: git worktree add CHECKOUT COMMIT

The median over rounds of the CPU time here over that in the other checkout; one thread, in alternating order.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
TASKS = ("RealNVP", "NSF", "MAF", "planar", "Glow")
STEPS, LARGE = 15, 100_000  # steps in a round; points in an evaluation


def built(checkout: Path) -> tuple[dict[str, nn.Module], ModuleType]:
    """The flow of each task as that checkout builds it, and its benchmark."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("flowlib", "benchmarks")]:
        del sys.modules[name]
    sys.path.insert(0, str(checkout))
    from benchmarks import bench_flows, peers

    sys.path.pop(0)
    if not Path(peers.__file__).is_relative_to(checkout):
        raise SystemExit(f"compare: {checkout} holds no benchmarks/peers.py of its own.")
    flows = {}
    for task in TASKS:
        torch.manual_seed(0)
        flows[task] = peers.BUILDERS[task]["flowlib"]()
    return flows, bench_flows


def ratio(before: Callable[[], object], after: Callable[[], object], rounds: int, repeats: int) -> float:
    """The median over the rounds of the CPU time of `after` over that of `before`."""
    found = []
    for k in range(rounds + 1):  # the first one warms up
        taken = {}
        for call in (before, after) if k % 2 else (after, before):
            start = time.process_time()
            for _ in range(repeats):
                call()
            taken[call] = time.process_time() - start
        found.append(taken[after] / taken[before])
    return statistics.median(found[1:])


def loss_of(bench: ModuleType, task: str, flow: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """What a training step descends: reverse Kullback–Leibler for planar flows, maximum likelihood for all others."""
    return bench.reverse_kl("flowlib", flow, 512) if task == "planar" else lambda: -flow.log_prob(x).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    (before, bench), (after, _) = built(options.checkout.resolve()), built(ROOT)
    print("time here over time there, below 1 is faster")
    for task in options.tasks:
        x = bench.data(task, 512)
        flows = [each[task] for each in (before, after)]
        losses = [loss_of(bench, task, flow, x) for flow in flows]
        steps = [bench.training_step(flow, loss) for flow, loss in zip(flows, losses, strict=True)]
        print(f"{task + ' training step':24}{ratio(*steps, options.rounds, STEPS):8.3f}", flush=True)
        if task in ("planar", "Glow"):
            continue
        points, few = bench.data(task, LARGE), max(3, options.rounds // 3)
        with torch.no_grad():
            calls = [lambda flow=flow: flow.log_prob(points) for flow in flows]  # noqa: B023
            print(f"{task + ' log_prob':24}{ratio(*calls, few, 1):8.3f}", flush=True)
            calls = [lambda flow=flow: flow.sample(LARGE) for flow in flows]
            print(f"{task + ' sampling':24}{ratio(*calls, few, 1):8.3f}", flush=True)


if __name__ == "__main__":
    main()
