"""What a command measured once and a page shows: the files of notebooks/data, found from any working folder."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "notebooks" / "data"


def stored(name: str) -> Any:
    """The content of notebooks/data/NAME.json.

    >>> stored("families")["command"]
    'python -m tools.families'
    """
    path = DATA / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(each.stem for each in DATA.glob("*.json"))) or "nothing, flowlib left its checkout"
        raise FileNotFoundError(f"stored: no results called {name!r}; there is: {there}.")
    return json.loads(path.read_text(encoding="utf-8"))
