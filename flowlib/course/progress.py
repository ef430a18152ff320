"""A bar for a loop on a page, if somebody is looking: a stored page holds none."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from flowlib.support.session import watched

Item = TypeVar("Item")


def progress(items: Sequence[Item]) -> Iterable[Item]:
    """The items one after the other, with a bar while they come.

    >>> list(progress(range(3)))
    [0, 1, 2]
    """
    if not watched():
        return items
    from tqdm.auto import tqdm

    return tqdm(items, leave=False)
