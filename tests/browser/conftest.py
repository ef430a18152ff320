"""A course notebook in a headless browser, all cells run; a failed test leaves a picture under failures/."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page
from xdist.scheduler import LoadScopeScheduling

from tools.lab import ROOT, Server, find_browser, open_notebook, open_page, run_all

PAGE = pytest.StashKey[Page]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_browser() is None:
        reason = "no Chromium or Chrome found on this machine"
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason=reason))


class ByPage(LoadScopeScheduling):
    """What asks for one page goes to one worker, which runs its cells once; without a page, what stands in one file.
    (The groups of `--dist loadgroup` are marks on identifiers that this pytest does not pass on.)"""

    def _split_scope(self, nodeid: str) -> str:
        page = re.search(r"\[(\d\d.*)\]", nodeid)
        return page[1] if page else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByPage:
    return ByPage(config, log)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server(ROOT / "notebooks") as server:
        yield server


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest, server: Server) -> Iterator[Page]:
    """The page of the notebook that the test is parametrized with (indirectly), after all of its cells ran."""
    with open_page() as page:
        request.session.stash[PAGE] = page
        open_notebook(page, server, f"{request.param}.ipynb")
        run_all(page)
        yield page
    server.end_kernels()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    page = item.session.stash.get(PAGE, None)
    if report.failed and page and not page.is_closed():
        folder = item.config.rootpath / "failures"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"{item.name}.png")
        report.sections.append(("picture", f"failures/{item.name}.png"))
    return report
