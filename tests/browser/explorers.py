"""The explorers of an open notebook page, moved as a hand would and judged by the pixels of their canvas."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import ElementHandle, Page

TIMEOUT = 20_000  # ms, the wait for a picture that must come
BURST = 5  # key presses

ANSWERS = 6  # of the kernel, one after the other, that leave a picture as it is: then it rests

# The picture at rest, once it is unlike `unlike` (if given): a hash of all pixels. A busy kernel answers late: a wait
# that is counted in its answers grows with the load of the machine. One would do if nothing were under way; ipywidgets
# holds back what is moved while a picture is drawn, and sends it when that is done.
SETTLED = """async (canvas, [unlike, answers, timeout]) => {
    const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
    const widget = [...kernel._comms.values()].find(comm => comm.targetName === 'jupyter.widget');
    const hash = () => {
        const pixels = new Uint32Array(
            canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        let value = 2166136261;
        for (const pixel of pixels) value = Math.imul(value ^ pixel, 16777619);
        return String(value >>> 0);
    };
    const end = performance.now() + timeout;
    let last = null, same = 0;
    while ((same < answers || last === unlike) && performance.now() < end) {
        await widget.send({method: 'custom', content: {}}).done;
        await new Promise(next => setTimeout(next, 60));
        const now = hash();
        const rests = now === last && canvas.ariaBusy !== 'true' && kernel.status === 'idle';
        same = rests ? same + 1 : 0;
        last = now;
    }
    return last;
}"""


@dataclass
class Handle:
    """A slider of ipywidgets or a handle in the picture: both are focusable and speak ARIA."""

    page: Page
    element: ElementHandle

    @property
    def value(self) -> str:
        """What it says, numbers to six decimals: many small steps leave noise in the last digits."""
        text = self.element.get_attribute("aria-valuetext") or self.element.get_attribute("aria-valuenow")
        return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.6f}", text)

    @property
    def directions(self) -> tuple[str, str]:
        """The arrow key with more room ahead, and the one that goes back."""
        low, now, high = (float(self.element.get_attribute(f"aria-value{name}")) for name in ("min", "now", "max"))
        return ("ArrowRight", "ArrowLeft") if high - now >= now - low else ("ArrowLeft", "ArrowRight")

    def burst(self, key: str, after_each: Callable[[], Any] | None = None) -> None:
        """BURST key presses as fast as they go: nothing waits for the picture, unless `after_each` does."""
        self.element.focus()
        for _ in range(BURST):
            self.page.keyboard.press(key)
            if after_each:
                after_each()

    def press_until(self, value: str, key: str) -> None:
        """As fast, until it says `value`: back from a limit that another slider sets it takes fewer than a burst."""
        self.element.focus()
        for _ in range(BURST):
            if self.value == value:
                break
            self.page.keyboard.press(key)
        assert self.value == value, f"after {BURST} presses of {key} it says {self.value}, not {value}"

    def drag(self, dx: float, dy: float) -> None:
        self.element.scroll_into_view_if_needed()
        box = self.element.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + dx, y + dy, steps=12)
        self.page.mouse.up()


class Explorer:
    """One output of the notebook that holds an explorer's canvas."""

    def __init__(self, page: Page, output: ElementHandle):
        self.page, self.output = page, output
        self.canvas = output.query_selector(".fl-view canvas")
        self.name = self.canvas.get_attribute("aria-label")
        # noUiSlider marks its disabled sliders so; a slider in a hidden box cannot be moved by a reader either
        sliders = output.query_selector_all(".noUi-target:not([disabled]) .noUi-handle")
        self.sliders = [Handle(page, element) for element in sliders if element.is_visible()]
        self.handles = [Handle(page, element) for element in output.query_selector_all(".fl-knob")]
        self.is_sheet = "fl-sheet" in (self.canvas.get_attribute("class") or "")

    @property
    def error(self) -> str:
        """What is written in the picture's place, or nothing."""
        place = self.output.query_selector(".fl-error")
        return place.inner_text() if place.is_visible() else ""

    @property
    def words(self) -> str:
        """The numbers below the picture."""
        return self.output.query_selector(".fl-line").inner_text()

    def draw(self, heights: Callable[[float], float]) -> None:
        """A stroke of the mouse over the whole panel; heights from 0 to 1 over places from 0 to 1."""
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        left, wide, top, tall = box["x"] + 36, box["width"] - 48, box["y"] + 26, 300  # as canvas.js lays one panel out
        for number in range(51):
            t = number / 50
            self.page.mouse.move(left + wide * t, top + tall * (1 - heights(t)))
            if number == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def press(self, text: str) -> None:
        self.output.query_selector(f"button:has-text('{text}')").click()

    def picture(self, unlike: str | None = None) -> str:
        """A hash of the picture at rest; with `unlike`, of the next one that is at rest."""
        return self.canvas.evaluate(SETTLED, [unlike, ANSWERS, TIMEOUT])


def explorers(page: Page) -> list[Explorer]:
    page.wait_for_selector(".fl-view canvas")
    outputs = page.query_selector_all(".jp-OutputArea-output:has(.fl-view canvas)")
    return [Explorer(page, output) for output in outputs]
