"""The reader's own copy of the pages, so that a saved page never changes a file of the course.

`update(course, own)` copies what is new, replaces what the reader has left as it was, and touches nothing else: a page
whose text or code the reader changed stays, and if the course has a newer one, that lies beside it, "NAME (new).ipynb",
or "NAME (new 2).ipynb" where the reader has written into the first. Outputs do not count: to run a page and to save it
is not to change it. What was copied last, under each name, stands in .copied.json.
"""

import hashlib
import json
import shutil
from itertools import chain, count
from pathlib import Path

RECORD = ".copied.json"


def update(course: Path, own: Path) -> list[str]:
    """Bring the copies up to date; what a reader should know of it, a sentence for each such page."""
    own.mkdir(exist_ok=True)
    record = own / RECORD
    copied = json.loads(record.read_text()) if record.exists() else {}
    said = []
    for page in sorted(course.glob("[0-9][0-9]*_*.ipynb")):
        copy, now = own / page.name, fingerprint(page)
        if copied.get(page.name) == now and copy.exists():
            continue
        names = chain([page.name, f"{page.stem} (new).ipynb"], (f"{page.stem} (new {n}).ipynb" for n in count(2)))
        free = next(own / name for name in names if untouched(own / name, (now, copied.get(name))))
        shutil.copyfile(page, free)
        copied[page.name] = copied[free.name] = now
        if free != copy:
            said.append(f"{copy.name} has your changes and stays; the course has a newer one: {free.name}")
    record.write_text(json.dumps(copied, indent=1))
    return said


def untouched(copy: Path, known: tuple[str | None, ...]) -> bool:
    """Whether a page may be written there: nothing is, or what the course has or had."""
    return not copy.exists() or fingerprint(copy) in known


def fingerprint(page: Path) -> str:
    """Of the text and the code of a page, without outputs; of the bytes of a file that is no notebook any more."""
    try:
        cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
        text = json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in cells])
    except (ValueError, KeyError, TypeError):
        return hashlib.sha256(page.read_bytes()).hexdigest()
    return hashlib.sha256(text.encode()).hexdigest()
