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


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A server of its own and what was seen of the page on the first day: it was run, restarted, saved and closed."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copyfile(ROOT / "notebooks" / NAME, folder / NAME)
    with Server(folder) as server:
        with open_page() as page:
            open_notebook(page, server, NAME)
            run_all(page)
            seen = {"live": page.evaluate(LIVE), "pictures": page.evaluate(FROZEN)}
            page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
            page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
            page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()")
            page.wait_for_function(f"{GONE}.every(text => text.includes('restarted'))")
            seen["restarted"] = page.evaluate(GONE)
        server.end_kernels()
        with open_page() as page:
            open_notebook(page, server, NAME)
            page.wait_for_function("document.body.textContent.includes('Error displaying widget')")
            seen |= {"lost": page.evaluate(LOST), "still": page.evaluate(LIVE), "stand-ins": page.evaluate(FROZEN)}
    return seen


def test_a_live_explorer_hides_its_picture(saved) -> None:
    assert saved["live"] > 0


def test_after_a_restart_the_picture_says_that_it_stands_still(saved) -> None:
    assert len(saved["restarted"]) == saved["live"]
    assert all("Run the cell again" in text for text in saved["restarted"])


def test_on_the_next_day_pictures_stand_where_widgets_were(saved) -> None:
    assert saved["lost"] == saved["still"] == 0
    assert saved["stand-ins"] == saved["pictures"] + saved["live"]
