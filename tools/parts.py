"""A file of results that several runs write: each its own parts, and the others' stay as they are."""

import json
from pathlib import Path


def write_parts(path: Path, parts: dict, indent: int | None = None) -> None:
    """Written to the file beside the parts of other names that are there already."""
    there = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(there | parts, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
