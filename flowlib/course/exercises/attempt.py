"""Calling a learner's function: whatever it does, the page goes on and the check can say what happened."""

import contextlib
import copy
import dis
import io
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import Module

LIMIT = 20.0  # seconds for one call
EMPTY = {"RESUME", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "NOP", "CACHE", "COPY_FREE_VARS"}


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a value, or an error."""

    value: Any = None
    error: BaseException | None = None


def outcome(function: Callable, arguments: tuple, quiet: bool = True) -> Outcome:
    """Call a function on copies of its arguments; `quiet`: what it prints is not shown."""
    hide = contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext()
    try:
        with hide, time_limit():
            return Outcome(function(*copies(arguments)))
    except (Exception, SystemExit) as error:  # a learner's function may raise anything: the verdict must say what
        return Outcome(error=error)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """TimeoutError after LIMIT seconds, where a signal can be set: in the main thread, and not on Windows."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"it did not end within {LIMIT:g} seconds. Is there a loop without an end?")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def is_stub(function: Callable) -> bool:
    """Whether a function does nothing but give back None or ...: nobody has filled it in."""
    steps = list(dis.get_instructions(function)) if hasattr(function, "__code__") else []
    constants = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return {step.opname for step in steps} <= EMPTY and constants[-1:] in ([None], [...])


def names_in(function: Callable) -> set[str]:
    """The names that a function reads, and those of functions within it and of its helpers, which were written beside
    it and may be called as they like."""
    around = getattr(function, "__globals__", {})
    helpers = {
        name: value.__code__
        for name, value in around.items()
        if hasattr(value, "__code__") and value.__module__ == function.__module__
    }
    found, seen, codes = set(), set(), [getattr(function, "__code__", None)]
    while codes:
        code = codes.pop()
        if code is not None and code not in seen:
            seen.add(code)
            loaded = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
            codes += [helpers[name] for name in loaded & helpers.keys()]
            found |= {*code.co_names} - (loaded & helpers.keys())
            codes += [constant for constant in code.co_consts if hasattr(constant, "co_names")]
    return found


def copies(arguments: tuple) -> tuple:
    """The arguments with fresh tensors and fresh flows, so that an attempt that changes them harms nobody."""
    fresh = {Tensor: Tensor.clone, Module: copy.deepcopy}
    return tuple(next((make(a) for kind, make in fresh.items() if isinstance(a, kind)), a) for a in arguments)
