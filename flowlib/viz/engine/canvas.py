"""The live picture: one anywidget canvas, fed by one bytes traitlet a frame.

A frame is: four bytes, the little-endian length n of the head; n bytes of JSON; then the arrays, each aligned to four
bytes. Where the head says {"$": [type, offset, count]} an array belongs: "u1" bytes or "f4" float32, its offset
counted from the end of the head. Zeros at the end fill it up to SEGMENT bytes.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from flowlib.viz.engine import theme
from flowlib.viz.engine.scene import Scene

SEGMENT = 66_000
TYPES = {"u1": np.uint8, "f4": np.float32}


class Canvas(anywidget.AnyWidget):
    """Kernel to page: `frame`, `readout`. Page to kernel: `hand` (it moved a handle or drew), `pointer`, `rest`.

    Jupyter Server leaves Nagle's algorithm on: what fills less than one TCP segment is kept back, up to 40 ms, until
    the browser has acknowledged what went before. So a frame fills a whole segment of the loopback device, and the
    page answers each frame with a message that means nothing but carries the acknowledgement: the kernel's "idle",
    for which the next movement of a slider waits, then comes at once.
    """

    _esm = Path(__file__).with_name("canvas.js")
    frame = traitlets.Bytes(b"").tag(sync=True)
    readout = traitlets.Unicode("").tag(sync=True)
    theme = traitlets.Dict(theme.for_canvas()).tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    hand = traitlets.Dict({}).tag(sync=True)
    pointer = traitlets.List([]).tag(sync=True)
    rest = traitlets.Int(0).tag(sync=True)


def pack(scene: Scene, hidden: set[str] = frozenset(), **head: Any) -> bytes:
    """A Scene (without the layers whose toggle is in `hidden`) and more head entries as one frame."""
    panels = [
        {
            "title": p.title,
            "xlabel": p.xlabel,
            "ylabel": p.ylabel,
            "xlim": p.xlim,
            "ylim": p.ylim,
            "aspect": p.aspect,
            "height": p.height,
            "xticks": p.marks()[0],
            "yticks": p.marks()[1],
            "layers": [_top_row_first(layer.parts()) for layer in p.layers if layer.toggle not in hidden],
        }
        for p in scene.panels
    ]
    return pack_head(panels=panels, numbers=scene.numbers, light=scene.light, keys=scene.keys, **head)


def _top_row_first(parts: dict) -> dict:
    """Canvas rows run downwards, a Heat's upwards."""
    return {**parts, "levels": parts["levels"][::-1]} if parts["kind"] == "heat" else parts


def pack_head(**head: Any) -> bytes:
    """Any JSON-able head that may hold uint8 and float32 arrays, as one frame."""
    blob = bytearray()

    def place(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            kind = "u1" if value.dtype == np.uint8 else "f4"
            blob.extend(b"\0" * (-len(blob) % 4))
            entry = {"$": [kind, len(blob), value.size], "shape": value.shape}
            blob.extend(np.ascontiguousarray(value, TYPES[kind]).tobytes())
            return entry
        if isinstance(value, dict):
            return {k: place(v) for k, v in value.items()}
        return [place(v) for v in value] if isinstance(value, (list, tuple)) else value

    text = json.dumps(place(head), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    frame = struct.pack("<I", len(text)) + text + bytes(blob)
    return frame.ljust(SEGMENT, b"\0")


def unpack(frame: bytes) -> dict:
    """The head of a frame with its arrays in place: what the canvas reads."""
    (size,) = struct.unpack_from("<I", frame)
    blob = frame[4 + size :]

    def fetch(value: Any) -> Any:
        if isinstance(value, dict) and "$" in value:
            kind, offset, count = value["$"]
            return np.frombuffer(blob, TYPES[kind], count, offset).reshape(value["shape"])
        if isinstance(value, dict):
            return {k: fetch(v) for k, v in value.items()}
        return [fetch(v) for v in value] if isinstance(value, list) else value

    return fetch(json.loads(frame[4 : 4 + size]))
