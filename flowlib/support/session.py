"""Who is there: a notebook, a terminal, nobody."""

import sys


def shell() -> object:
    """The IPython that runs this, or None."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def watched() -> bool:
    """True on a terminal and on a live page, which, unlike nbclient and nbval, could answer an `input()`."""
    kernel = getattr(shell(), "kernel", None)
    return sys.stderr.isatty() if kernel is None else bool(getattr(kernel, "_allow_stdin", False))
