"""The house: the rooms of flowlib, their floors and sizes, and whether the staircase holds.

    python -m tools.house                   rooms, files, lines of code, circles, upward imports, depth
    python -m tools.house --at CHECKOUT     the same of another checkout, without floors where its rooms are others

A file imports from its own floor or below. A door (`__init__`) is passed through: `from flowlib.nets import MADE` leads
to flowlib/nets/made.py, where the name is defined. Lines of code are lines without blanks, comments and docstrings.
"""

import argparse
import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [
    {"support"},
    {"core", "laws", "nets", "datasets"},
    {"bases", "transforms"},
    {"proof", "pixels", "course"},
    {"models"},
    {"training"},
    {"viz", "__main__"},
]
MOST_ROOMS, MOST_DEPTH, MOST_LINES = 13, 8, 3809
# what a reader of the theory reads: everything but reports, files of models and runs, exercises, data and pictures
STORY = {"core", "bases", "laws", "proof", "support", "nets", "transforms", "pixels"}
STORY_FILES = {"models.vectors", "models.images", "training.fit"}


class House:
    """The files of a package and the arrows between them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files = {name_of(path, folder): path for path in sorted(folder.rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.files.items()}
        self.imports = {name: set(self.targets(name)) - {name} for name in self.files}

    def targets(self, name: str) -> Iterator[str]:
        """The files of flowlib that this one imports; under TYPE_CHECKING and inside functions as well."""
        for node in ast.walk(self.trees[name]):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "flowlib":
                module = node.module.partition(".")[2]
                for alias in node.names:
                    yield self.home(module, alias.name)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] == "flowlib":
                        yield self.home(alias.name.partition(".")[2], "")

    def packages(self, name: str) -> Iterator[str]:
        """The modules outside flowlib that this file imports."""
        for node in ast.walk(self.trees[name]):
            if isinstance(node, ast.ImportFrom) and not node.level:
                yield node.module
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)

    def offered(self, room: str) -> list[str]:
        """The names that a room offers: its `__all__`, or what a file that is a room defines."""
        for node in self.trees[room].body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                return ast.literal_eval(node.value)
        kinds = ast.ClassDef | ast.FunctionDef
        own = [] if self.is_door(room) else self.trees[room].body
        return [node.name for node in own if isinstance(node, kinds)]

    def home(self, module: str, name: str) -> str:
        """The file in which the name that a module offers is defined."""
        inside = f"{module}.{name}".strip(".")
        if inside in self.files:
            return inside
        if module in self.files and not self.is_door(module):
            return module
        for node in self.trees[module].body:
            if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
                return self.home(node.module.partition(".")[2], name)
        return module

    def is_door(self, name: str) -> bool:
        return self.files[name].name == "__init__.py"

    def circles(self) -> list[list[str]]:
        """Files that lead back to themselves."""

        def search(path: list[str]) -> Iterator[list[str]]:
            for name in sorted(self.imports[path[-1]]):
                if name == path[0]:
                    yield path
                elif name not in path and name > path[0]:
                    yield from search([*path, name])

        return [circle for name in self.files for circle in search([name])]

    def upward(self) -> list[str]:
        """Imports of a higher floor."""
        floors = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
        return [
            f"{name} imports {other}"
            for name in self.files
            for other in sorted(self.imports[name])
            if room_of(name) in floors and room_of(other) in floors and floors[room_of(other)] > floors[room_of(name)]
        ]

    def deepest(self) -> list[str]:
        """The longest chain of files, each importing the next; doors are not files."""

        @cache
        def chain(name: str) -> tuple[str, ...]:
            below = [chain(other) for other in self.imports[name] if not self.is_door(other)]
            return (name, *max(below, key=len, default=()))

        if self.circles():
            return []
        return list(max((chain(name) for name in self.files if not self.is_door(name)), key=len))

    def rooms(self) -> list[str]:
        """Folders and files at the top, without the door and the command line."""
        return sorted({room_of(name) for name in self.files} - {"", "__main__"})

    def lines(self, room: str) -> int:
        return sum(code_lines(path) for name, path in self.files.items() if room_of(name) == room)

    def story(self) -> int:
        """Lines of code of what tells the whole story."""
        return sum(
            code_lines(path) for name, path in self.files.items() if room_of(name) in STORY or name in STORY_FILES
        )


def name_of(path: Path, folder: Path) -> str:
    """flowlib/transforms/planar.py -> transforms.planar; a door is its room."""
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name: str) -> str:
    return name.split(".")[0]


def code_lines(path: Path) -> int:
    """Lines that hold code: no blanks, no comments, no docstrings."""
    text = path.read_text(encoding="utf-8")
    quoted: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            quoted |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    used: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            used |= set(range(token.start[0], token.end[0] + 1))
    return len(used - quoted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", type=Path, default=ROOT, help="a checkout (this one)")
    house = House(parser.parse_args().at.resolve() / "flowlib")
    print(f"{'room':12} {'floor':>5} {'files':>5} {'lines of code':>13}")
    floors = {room: str(number) for number, rooms in enumerate(FLOORS) for room in rooms}
    for room in sorted([*house.rooms(), "__main__"], key=lambda room: (floors.get(room, "9"), room)):
        files = sum(room_of(name) == room for name in house.files)
        print(f"{room:12} {floors.get(room, ''):>5} {files:5} {house.lines(room):13,}")
    total = sum(code_lines(path) for path in house.files.values())
    chain = house.deepest()
    print(f"{'all':12} {'':5} {len(house.files):5} {total:13,}")
    print(f"the story: {house.story():,} lines of code, at most {MOST_LINES:,}")
    print(f"at the top: {len(house.rooms())} rooms, at most {MOST_ROOMS}")
    print(f"circles: {'; '.join(' → '.join(circle) for circle in house.circles()) or 'none'}")
    print(f"upward imports: {'; '.join(house.upward()) or 'none'}")
    print(f"depth: {len(chain) or 'none, there are circles'}, at most {MOST_DEPTH}: {' → '.join(chain)}")


if __name__ == "__main__":
    main()
