"""A page saved yesterday: its explorers have lost their widgets, and their pictures stand there."""

import shutil

import pytest

from tools.lab import ROOT, Server, open_notebook, open_page, run_all

NAME = "00_start_here.ipynb"
AREAS = "[...document.querySelectorAll('.jp-OutputArea-child')].filter(area => area.offsetParent)"
LIVE = f"{AREAS}.filter(area => area.querySelector('.fl-view canvas')).length"
FROZEN = f"{AREAS}.filter(area => area.querySelector('img[src^=\"data:image/png\"]')).length"
LOST = f"{AREAS}.filter(area => area.textContent.includes('Error displaying widget')).length"
GONE = "[...document.querySelectorAll('.fl-error')].map(error => error.innerText)"
FORGET = "document.querySelectorAll('.fl-error').forEach(error => error.replaceChildren())"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What was seen of a page that was run, saved, restarted and shut down, and was opened again on the next day."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copyfile(ROOT / "notebooks" / NAME, folder / NAME)
    with Server(folder) as server:
        with open_page() as page:
            open_notebook(page, server, NAME)
            run_all(page)
            seen = {"live": page.evaluate(LIVE), "pictures": page.evaluate(FROZEN)}
            page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
            page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
            for end in ("session.kernel.restart", "shutdown"):
                page.evaluate(FORGET)
                page.evaluate(f"window.jupyterapp.shell.currentWidget.context.sessionContext.{end}()")
                page.wait_for_function(f"{GONE}.every(text => text.includes('restarted or shut down'))", timeout=20_000)
                seen[end] = page.evaluate(GONE)
        with open_page() as page:
            open_notebook(page, server, NAME)
            page.wait_for_function("document.body.textContent.includes('Error displaying widget')")
            seen |= {"lost": page.evaluate(LOST), "still": page.evaluate(LIVE), "stand-ins": page.evaluate(FROZEN)}
    return seen


def test_a_live_explorer_hides_its_picture(saved) -> None:
    assert saved["live"] > 0


@pytest.mark.parametrize("end", ["session.kernel.restart", "shutdown"])
def test_without_its_kernel_the_picture_says_that_it_stands_still(saved, end: str) -> None:
    assert len(saved[end]) == saved["live"]
    assert all("Run the cell again" in text for text in saved[end])


def test_on_the_next_day_pictures_stand_where_widgets_were(saved) -> None:
    assert saved["lost"] == saved["still"] == 0
    assert saved["stand-ins"] == saved["pictures"] + saved["live"]
