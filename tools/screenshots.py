"""Pictures of notebooks as a reader sees them in JupyterLab, screen by screen, to be looked at.

    .venv/bin/python -m tools.screenshots [--theme light|dark] [--out shots] [--no-run] [NOTEBOOK ...]

Writes OUT/THEME/NAME-01.png, NAME-02.png, ... Without notebooks: all of the course. --no-run shows the page as
it is stored, before any cell ran: what a reader without a kernel sees.
"""

import argparse
from pathlib import Path

from playwright.sync_api import Page

from tools.lab import ROOT, Server, open_notebook, open_page, run_all

SCROLLER = ".jp-WindowedPanel-outer"


def photograph(page: Page, folder: Path, name: str) -> int:
    """Scrolls the open notebook from top to bottom and saves each screen; gives the number of pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-[0-9][0-9].png"):
        old.unlink()
    height, seen = page.eval_on_selector(SCROLLER, "e => [e.scrollHeight, e.clientHeight]")
    step = seen - 80  # some overlap, so that nothing hides at an edge
    pages = max(1, -(-(height - 80) // step))
    for number in range(pages):
        page.eval_on_selector(SCROLLER, "(e, y) => e.scrollTo(0, y)", number * step)
        page.wait_for_timeout(400)
        page.screenshot(path=folder / f"{name}-{number + 1:02d}.png")
    return pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--out", type=Path, default=ROOT / "shots")
    parser.add_argument("--no-run", action="store_true")
    args = parser.parse_args()
    books = [book.resolve() for book in args.notebooks] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for book in books:
        with Server(book.parent, theme=args.theme) as server, open_page() as page:
            open_notebook(page, server, book.name)
            if args.no_run:
                page.wait_for_timeout(1000)
            else:
                run_all(page)
            count = photograph(page, args.out / args.theme, book.stem)
        print(f"{args.out / args.theme / book.stem}-01.png ... {count} pictures")


if __name__ == "__main__":
    main()
