"""In a real JupyterLab: a linked word leads to its entry, an entry to its section, and the box finds words."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from flowlib.course.glossary import GLOSSARY as TERMS
from tools.lab import Server, open_page

GLOSSARY = "14_glossary.ipynb"
SEEN = """text => [...document.querySelectorAll('.jp-RenderedMarkdown :is(h2, h3)')].some(heading => {
    const box = heading.getBoundingClientRect();
    return heading.textContent.startsWith(text) && box.height > 0 && box.top > 0 && box.bottom < innerHeight;
})"""


@pytest.fixture(scope="module")
def lab(server: Server) -> Iterator[Page]:
    with open_page() as page:
        page.goto(f"{server.url}/lab/tree/{GLOSSARY}?reset", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        yield page
    server.end_kernels()


def show(page: Page, name: str) -> None:
    """Opens a page in a tab, or brings its tab to the front."""
    page.evaluate(f"() => window.jupyterapp.commands.execute('docmanager:open', {{path: '{name}'}}).then(() => 0)")
    page.wait_for_function(f"() => window.jupyterapp.shell.currentWidget?.context?.path === '{name}'")
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-RenderedMarkdown h1")
    page.wait_for_timeout(1000)


def follow(page: Page, address: str) -> None:
    page.locator(f'.jp-NotebookPanel:not(.lm-mod-hidden) .jp-RenderedMarkdown a[href$="{address}"]').first.click()


@pytest.mark.parametrize("word", ["planar flow", "log-determinant", "spline"])
def test_a_linked_word_leads_to_its_entry(lab: Page, word: str) -> None:
    show(lab, "05_coupling_layers.ipynb")
    anchor = f"#{word.replace(' ', '-')}"
    link = lab.locator(f'.jp-NotebookPanel:not(.lm-mod-hidden) .jp-RenderedMarkdown a[href$="{anchor}"]').first
    assert link.get_attribute("title") == next(term.sentence for term in TERMS if term.name == word)
    follow(lab, anchor)
    lab.wait_for_function(SEEN, arg=word, timeout=20_000)


@pytest.mark.parametrize(
    "heading",
    ["7. Who listens to whom: swaps, permutations, linear mixing", "8. Volume preserving or not"],
)
def test_an_entry_leads_to_its_section(lab: Page, heading: str) -> None:
    show(lab, "05_coupling_layers.ipynb")
    show(lab, GLOSSARY)
    follow(lab, f"#{heading.replace(' ', '-')}")
    lab.wait_for_function(SEEN, arg=heading, timeout=20_000)


def test_the_box_finds_words_while_one_types(lab: Page) -> None:
    show(lab, GLOSSARY)
    lab.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => 0)")
    box = lab.locator("input[placeholder='type a word']")
    box.press_sequentially("hutch")
    lab.wait_for_selector(".jp-OutputArea b:text-is('Hutchinson estimator')", timeout=20_000)
    box.fill("no such thing")
    lab.wait_for_selector(".jp-OutputArea p:text-is('no such word')", timeout=20_000)
    assert lab.locator(".jp-OutputArea img").count() == 0 or not lab.locator(".jp-OutputArea img").first.is_visible()
