"""Each page's recap table sends its reader to the file in which a row is told."""

import re

import nbformat
import pytest

from tools import notebooks


@pytest.mark.parametrize("path", notebooks.course(), ids=lambda path: path.stem)
def test_a_recap_says_where_to_read(path) -> None:
    (recap,) = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.source.startswith("## Recap")]
    head, _, *rows = [line for line in recap.split("\n\n## ")[0].splitlines() if line.startswith("|")]
    assert head.split("|")[-2].strip() == "read"
    links = re.findall(r"\[([\w/]+\.py)\]\((\.\./flowlib/[\w/]+\.py)\) \|$", "\n".join(rows), re.MULTILINE)
    assert len(links) >= len(rows) / 2
    for name, target in links:
        assert target == f"../flowlib/{name}" and (path.parent / target).is_file(), target
