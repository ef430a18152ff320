// The live picture of an explorer. Python computes every number; this file only paints them and reports the hand.
// A frame is one bytes message: see canvas.py for its layout.

const MARGIN = {left: 36, right: 12, top: 26, bottom: 24};
const KEY = 34;
const GAP = 8;
// each arrow key as steps to the right and upwards
const WAYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
const GONE = ["The kernel was restarted or shut down", "This picture no longer follows its sliders.", "Run the cell again."];

const STYLE = `
.fl-view {
  position: relative;
  width: 100%;
  font-family: var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color1, #555);
}
.fl-stage { position: relative; margin: 0; }
.fl-stage canvas { display: block; touch-action: pan-y; }
.fl-stage canvas.fl-sheet { cursor: crosshair; touch-action: none; }
.fl-stage canvas:focus { outline: none; }
.fl-stage canvas:focus-visible { outline: 3px solid var(--jp-brand-color1, #2196f3); }
.fl-stage svg { position: absolute; inset: 0; pointer-events: none; }
.fl-knob {
  position: absolute;
  width: 24px;
  height: 24px;
  margin: -12px 0 0 -12px;
  border-radius: 50%;
  cursor: grab;
  touch-action: none;
  display: flex;
  align-items: center;
  justify-content: center;
  font: 600 13px var(--jp-ui-font-family, sans-serif);
  box-sizing: border-box;
  color: #0b1326;
  background: #f4f6fa;
  border: 2px solid #0b1326;
  box-shadow: 0 0 0 1px #f4f6fa99;
  user-select: none;
}
.fl-knob:active { cursor: grabbing; }
.fl-knob:focus { outline: none; }
.fl-knob:focus-visible, .fl-knob:active { outline: 3px solid var(--jp-brand-color1, #2196f3); outline-offset: 2px; }
.fl-line {
  display: flex;
  flex-wrap: wrap;
  gap: 2px 20px;
  min-height: 20px;
  padding: 0 12px 0 36px;
  font-size: 13px;
  line-height: 20px;
  font-variant-numeric: tabular-nums;
  box-sizing: border-box;
}
.fl-line b { font-weight: 600; }
.fl-soft { color: var(--jp-ui-font-color2, #777); }
.fl-light { font-weight: 600; }
.fl-error {
  position: absolute;
  box-sizing: border-box;
  padding: 20px;
  overflow: auto;
  background: #0b1326;
  color: #f4f6fa;
  font-size: 14px;
  line-height: 1.5;
}
.fl-error b { display: block; color: #ff9aa5; margin-bottom: 6px; }
.fl-error i { display: block; color: #a9b4c8; margin-top: 10px; font-style: normal; }`;

// The head of a frame with its arrays in place.
function readFrame(view) {
  const size = view.getUint32(0, true);
  const start = view.byteOffset + 4 + size;
  const fetch = (key, value) => {
    if (!value || !value.$) return value;
    const [kind, offset, count] = value.$;
    const floats = kind === "f4";
    const from = start + offset;
    const bytes = view.buffer.slice(from, from + count * (floats ? 4 : 1));
    const array = floats ? new Float32Array(bytes) : new Uint8Array(bytes);
    return Object.assign(array, {shape: value.shape});
  };
  const text = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + 4, size));
  return JSON.parse(text, fetch);
}

// ---- from the numbers of a panel to CSS pixels in its box, and back ------------------------------------------------

function axes(panel, box) {
  const [x0, x1] = panel.xlim;
  const [y0, y1] = panel.ylim;
  return {
    X: x => box.x + (x - x0) / (x1 - x0) * box.w,
    Y: y => box.y + (y1 - y) / (y1 - y0) * box.h,
    back: (px, py) => [x0 + (px - box.x) / box.w * (x1 - x0), y1 - (py - box.y) / box.h * (y1 - y0)],
  };
}

// ---- painting: one function a kind of layer; X and Y turn data coordinates into CSS pixels -------------------------

function heat(c, layer, panel, X, Y, theme) {
  const [h, w] = layer.levels.shape;
  const small = new OffscreenCanvas(w, h);
  const context = small.getContext("2d");
  const image = context.createImageData(w, h);
  const table = theme.packed[layer.table];
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[layer.levels[i]];
  context.putImageData(image, 0, 0);
  const [x0, x1] = layer.xlim || panel.xlim;
  const [y0, y1] = layer.ylim || panel.ylim;
  c.drawImage(small, X(x0), Y(y1), X(x1) - X(x0), Y(y0) - Y(y1));
}

// All segments of one colour are one path, so that a layer takes as many strokes as it has colours.
function lines(c, layer, panel, X, Y, theme) {
  const [n, v] = layer.points.shape;
  const p = layer.points;
  const paths = new Map();
  for (let i = 0; i < n; i++) {
    let last = -1;
    for (let j = 0; j < v - 1; j++) {
      const a = 2 * (i * v + j);
      const level = layer.levels ? layer.levels[i * (v - 1) + j] : 0;
      if (isNaN(p[a] + p[a + 1] + p[a + 2] + p[a + 3])) {
        last = -1;
        continue;
      }
      if (!paths.has(level)) paths.set(level, new Path2D());
      const path = paths.get(level);
      if (level !== last) path.moveTo(X(p[a]), Y(p[a + 1]));
      path.lineTo(X(p[a + 2]), Y(p[a + 3]));
      last = level;
    }
  }
  c.lineWidth = layer.width;
  c.globalAlpha = layer.alpha;
  c.lineJoin = "round";
  c.setLineDash(layer.dash ? [5, 4] : []);
  for (const [level, path] of paths) {
    c.strokeStyle = layer.levels ? theme.tables.diverging[level] : layer.color;
    c.stroke(path);
  }
  c.setLineDash([]);
}

function dots(c, layer, panel, X, Y) {
  const p = layer.points;
  const r = layer.size;
  c.globalAlpha = layer.alpha;
  c.fillStyle = layer.color;
  c.beginPath();
  for (let i = 0; i < p.length; i += 2) {
    const x = X(p[i]);
    const y = Y(p[i + 1]);
    c.moveTo(x + r, y);
    c.arc(x, y, r, 0, 7);
  }
  c.fill();
}

function polygon(c, layer, panel, X, Y) {
  const p = layer.points;
  c.beginPath();
  for (let i = 0; i < p.length; i += 2) c.lineTo(X(p[i]), Y(p[i + 1]));
  c.closePath();
  c.globalAlpha = layer.alpha;
  c.fillStyle = layer.color;
  c.fill();
  if (!layer.edge) return;
  c.globalAlpha = 1;
  c.strokeStyle = layer.edge;
  c.lineWidth = layer.width;
  c.stroke();
}

function vector(c, layer, panel, X, Y) {
  const [tailX, tailY, tipX, tipY] = layer.points;
  const x0 = X(tailX);
  const y0 = Y(tailY);
  const x1 = X(tipX);
  const y1 = Y(tipY);
  const long = Math.hypot(x1 - x0, y1 - y0);
  if (!(long > 0.5)) return;
  const ux = (x1 - x0) / long;
  const uy = (y1 - y0) / long;
  const k = Math.min(9, long);
  c.strokeStyle = c.fillStyle = layer.color;
  c.lineWidth = layer.width;
  c.beginPath();
  c.moveTo(x0, y0);
  c.lineTo(x1 - ux * k * 0.8, y1 - uy * k * 0.8);
  c.stroke();
  c.beginPath();
  c.moveTo(x1, y1);
  c.lineTo(x1 - k * (ux - uy * 0.45), y1 - k * (uy + ux * 0.45));
  c.lineTo(x1 - k * (ux + uy * 0.45), y1 - k * (uy - ux * 0.45));
  c.fill();
  if (layer.text) write(c, layer.text, x1 + 11 * ux, y1 + 11 * uy, layer.color, 13, "center", 600);
}

function label(c, layer, panel, X, Y) {
  const [x, y] = layer.at;
  write(c, layer.text, X(x), Y(y), layer.color, layer.size, layer.align);
}

// The font size, at most `size`, at which a text is no wider than `width`.
function fitting(c, text, size, width) {
  c.font = `500 ${size}px ${c.family}`;
  return Math.min(size, size * width / Math.max(1, c.measureText(text).width));
}

function write(c, text, x, y, color, size, align = "center", weight = 400) {
  c.font = `${weight} ${size}px ${c.family}`;
  c.fillStyle = color;
  c.textAlign = align;
  c.textBaseline = "middle";
  c.fillText(text, x, y);
}

const PAINT = {heat, lines, dots, polygon, vector, label};

function paintPanel(c, panel, box, ink, theme) {
  const {X, Y} = axes(panel, box);
  c.save();
  c.beginPath();
  c.rect(box.x, box.y, box.w, box.h);
  c.clip();
  c.fillStyle = theme.night;
  c.fillRect(box.x, box.y, box.w, box.h);
  for (const layer of panel.layers) {
    c.save();
    PAINT[layer.kind](c, layer, panel, X, Y, theme);
    c.restore();
  }
  c.restore();
  paintWords(c, panel, box, X, Y, ink);
}

// What stands round a panel: its title, the numbers at its edges, the names of its axes.
function paintWords(c, panel, box, X, Y, ink) {
  const middle = box.x + box.w / 2;
  const foot = box.y + box.h;
  write(c, panel.title, middle, box.y - 13, ink[0], fitting(c, panel.title, 14, box.w + MARGIN.left), "center", 500);
  for (const [at, text] of panel.xticks) write(c, text, X(at), foot + 12, ink[1], 11);
  for (const [at, text] of panel.yticks) write(c, text, box.x - 6, Y(at), ink[1], 11, "right");
  if (panel.xlabel) write(c, panel.xlabel, middle, foot + 27, ink[1], 12);
  if (panel.ylabel) {
    c.save();
    c.translate(box.x - (panel.yticks.length ? 28 : 14), box.y + box.h / 2);
    c.rotate(-Math.PI / 2);
    write(c, panel.ylabel, 0, 0, ink[1], 12);
    c.restore();
  }
}

function paintKey(c, key, x, y, width, ink, theme) {
  c.font = `400 12px ${c.family}`;
  const from = x + c.measureText(key.title).width + 12;
  const wide = Math.min(200, x + width - from - 16);
  const table = theme.tables[key.table];
  const cell = wide / table.length;
  write(c, key.title, x, y + 5, ink[0], 12, "left");
  table.forEach((color, i) => {
    c.fillStyle = color;
    c.fillRect(from + i * cell, y, cell + 0.6, 9);
  });
  for (const [at, text] of key.ticks) write(c, text, from + at * wide, y + 17, ink[1], 10.5);
}

// Where everything stands, in CSS pixels, for a cell of this width.
function layout(head, width) {
  const n = head.panels.length;
  const stacked = n > 1 && width / n < 150;
  const columns = stacked ? 1 : n;
  const cell = Math.min(width / columns, n > 1 ? 450 : 520);
  const under = head.panels.some(panel => panel.xlabel) ? 14 : 0;
  const w = cell - MARGIN.left - MARGIN.right;
  const high = panel => panel.aspect ? w * panel.aspect : panel.height;
  const boxes = [];
  let y = 0;
  for (let i = 0; i < n; i += columns) {
    const row = head.panels.slice(i, i + columns);
    const tall = Math.max(...row.map(high));
    row.forEach((panel, j) => {
      const h = high(panel);
      boxes.push({x: j * cell + MARGIN.left, y: y + MARGIN.top + (tall - h) / 2, w, h});
    });
    y += MARGIN.top + tall + MARGIN.bottom + under;
  }
  return {boxes, width: cell * columns, keyTop: y + 6, height: y + (head.keys.length ? KEY : GAP)};
}

// The smallest box round all of them.
function around(boxes) {
  const left = Math.min(...boxes.map(box => box.x));
  const top = Math.min(...boxes.map(box => box.y));
  const right = Math.max(...boxes.map(box => box.x + box.w));
  const bottom = Math.max(...boxes.map(box => box.y + box.h));
  return {left, top, width: right - left, height: bottom - top};
}

// ---- the widget ----------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function make(tag, className, parent) {
  return Object.assign(parent.appendChild(document.createElement(tag)), {className});
}

function makeSvg(tag, parent) {
  return parent.appendChild(document.createElementNS(SVG, tag));
}

function setAttributes(element, values) {
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

// A table of codes '#rrggbb' as the pixels of an ImageData, read as 32-bit numbers.
function packed(codes) {
  return Uint32Array.from(codes, code => {
    const [r, g, b] = [1, 3, 5].map(i => parseInt(code.slice(i, i + 2), 16));
    return (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  });
}

function render({model, el}) {
  const theme = {...model.get("theme"), packed: {}};
  for (const [name, codes] of Object.entries(theme.tables)) theme.packed[name] = packed(codes);

  const view = make("div", "fl-view", el);
  make("style", "", view).textContent = STYLE;
  const stage = make("div", "fl-stage", view);
  const canvas = make("canvas", "", stage);
  const error = make("div", "fl-error", stage);
  const shafts = makeSvg("svg", stage);
  const line = make("div", "fl-line", view);
  const light = make("span", "fl-light", line);
  const numbers = make("span", "", line);
  const readout = make("div", "fl-line fl-soft", view);
  setAttributes(canvas, {role: "img", "aria-label": model.get("alt")});
  light.setAttribute("role", "status");
  error.setAttribute("role", "alert");

  let head = null;
  let place = null;
  let timer = 0;
  let sent = 0;
  // name -> {knob, shaft, spec, local}; local: where the hand put it, until Python has answered
  const knobs = new Map();
  // tip: where the pen last was, as the number of a place and a height; heights and sent as with knobs
  const pen = {heights: [], tip: null, sent: 0, held: false};

  function report(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  // ---- the picture

  function resize(dpr) {
    const width = Math.round(place.width * dpr);
    const height = Math.round(place.height * dpr);
    if (canvas.width === width && canvas.height === height) return;
    canvas.width = width;
    canvas.height = height;
    canvas.style.width = `${place.width}px`;
    canvas.style.height = `${place.height}px`;
    setAttributes(shafts, {width: place.width, height: place.height});
    stage.style.width = `${place.width}px`;
  }

  function paint() {
    if (!head || !head.panels.length) return;
    const width = Math.max(240, view.clientWidth || 480);
    const dpr = window.devicePixelRatio || 1;
    const look = getComputedStyle(view);
    place = layout(head, width);
    resize(dpr);
    const c = canvas.getContext("2d");
    const ink = [look.color, getComputedStyle(readout).color];
    c.family = look.fontFamily;
    c.setTransform(dpr, 0, 0, dpr, 0, 0);
    c.clearRect(0, 0, place.width, place.height);
    head.panels.forEach((panel, i) => paintPanel(c, panel, place.boxes[i], ink, theme));
    if (pen.tip) paintTip(c);
    const share = (place.width - MARGIN.left - MARGIN.right) / Math.max(1, head.keys.length);
    head.keys.forEach((key, i) => paintKey(c, key, MARGIN.left + i * share, place.keyTop, share, ink, theme));
    for (const [side, length] of Object.entries(around(place.boxes))) error.style[side] = `${length}px`;
    placeKnobs();
  }

  function words() {
    const [holds, condition] = head.light || [];
    light.style.display = head.light ? "" : "none";
    light.textContent = head.light ? `${holds ? "● " : "▲ "}${condition}` : "";
    light.style.color = head.light ? theme[holds ? "good" : "bad"] : "";
    numbers.replaceChildren();
    for (const [name, text] of head.numbers) {
      const span = make("span", "", numbers);
      span.textContent = `${name} `;
      make("b", "", span).textContent = text;
      span.style.marginRight = "20px";
    }
    say(head.error);
  }

  // Three lines in the picture's place, or nothing.
  function say(message) {
    error.hidden = !message;
    error.style.display = message ? "block" : "none";
    error.replaceChildren();
    if (!message) return;
    for (const [i, tag] of ["b", "span", "i"].entries()) make(tag, "", error).textContent = message[i];
  }

  // ---- handles

  function placeKnobs() {
    for (const {spec, knob, shaft, local} of knobs.values()) {
      const box = place.boxes.at(spec.panel);
      const {X, Y} = axes(head.panels.at(spec.panel), box);
      const [x, y] = local || spec.at;
      knob.style.left = `${clamp(X(x), box.x, box.x + box.w)}px`;
      knob.style.top = `${clamp(Y(y), box.y, box.y + box.h)}px`;
      if (spec.origin) {
        const [x1, y1] = [X(spec.origin[0]), Y(spec.origin[1])];
        setAttributes(shaft, {x1, y1, x2: parseFloat(knob.style.left), y2: parseFloat(knob.style.top)});
      }
      const at = spec.free ? `${x.toFixed(2)}, ${y.toFixed(2)}` : x.toFixed(2);
      setAttributes(knob, {"aria-valuenow": x, "aria-valuetext": `${spec.label}: ${at}`});
    }
  }

  function moveTo(item, x, y) {
    const {spec} = item;
    item.local = [clamp(x, spec.low, spec.high), spec.free ? clamp(y, spec.low, spec.high) : spec.at[1]];
    sent = Math.max(sent, head.hand) + 1;
    item.sent = sent;
    placeKnobs();
    report("hand", {name: spec.name, at: item.local, count: sent});
  }

  function makeKnob(spec) {
    const knob = make("div", "fl-knob", stage);
    const shaft = makeSvg("line", shafts);
    const item = {knob, shaft, spec, local: null, held: false, sent: 0};
    Object.assign(knob, {tabIndex: 0, textContent: spec.label});
    setAttributes(knob, {
      role: "slider",
      "aria-label": spec.free ? `${spec.label}: move with the arrow keys in two directions` : spec.label,
      "aria-roledescription": "handle in the picture",
      "aria-valuemin": spec.low,
      "aria-valuemax": spec.high,
    });
    if (spec.origin) setAttributes(shaft, {stroke: "#f4f6fa", "stroke-width": 2});
    knob.onpointerdown = event => {
      knob.setPointerCapture(event.pointerId);
      item.held = true;
      knob.focus({preventScroll: true});
      event.preventDefault();
    };
    knob.onpointerup = knob.onpointercancel = () => {
      item.held = false;
    };
    knob.onpointermove = event => {
      if (!item.held) return;
      const page = canvas.getBoundingClientRect();
      const {back} = axes(head.panels.at(spec.panel), place.boxes.at(spec.panel));
      moveTo(item, ...back(event.clientX - page.left, event.clientY - page.top));
    };
    knob.onkeydown = event => {
      const way = WAYS[event.key];
      if (!way) return;
      event.preventDefault();
      event.stopPropagation();
      const [x, y] = item.local || item.spec.at;
      const step = item.spec.step * (event.shiftKey ? 10 : 1);
      moveTo(item, x + step * (spec.free ? way[0] : way[0] + way[1]), y + step * way[1]);
    };
    knobs.set(spec.name, item);
    return item;
  }

  // ---- the pen: the heights of a curve at even places from end to end of a panel, by the pointer or the arrow keys

  function paintTip(c) {
    const {X, Y} = axes(head.panels.at(head.pen.panel), place.boxes.at(head.pen.panel));
    dots(c, {points: onPanel(...pen.tip), size: 4, alpha: 1, color: "#f4f6fa"}, null, X, Y);
  }

  // From the number of a place and a height to x and y.
  function onPanel(number, height) {
    const [x0, x1] = head.panels.at(head.pen.panel).xlim;
    return [x0 + number / (pen.heights.length - 1) * (x1 - x0), height];
  }

  // The curve goes straight from where the pen was to this place (its number, a fraction between two) and this height.
  function drawTo(number, height) {
    const [low, high] = head.panels.at(head.pen.panel).ylim;
    const to = clamp(number, 0, pen.heights.length - 1);
    const end = clamp(height, low, high);
    const [from, start] = pen.tip || [to, end];
    if (!pen.tip) pen.heights[Math.round(to)] = end;
    for (let k = Math.ceil(Math.min(from, to)); k <= Math.max(from, to); k++) {
      pen.heights[k] = from === to ? end : start + (k - from) / (to - from) * (end - start);
    }
    pen.tip = [to, end];
    sent = pen.sent = Math.max(sent, head.hand) + 1;
    paint();
    report("hand", {name: head.pen.name, at: [...pen.heights], count: sent});
  }

  // What Python has: it may have wiped the sheet.
  function takePen() {
    pen.heights = head.pen.heights;
    if (pen.heights.every(height => height === null)) pen.tip = null;
    canvas.className = "fl-sheet";
    canvas.tabIndex = 0;
    canvas.setAttribute("aria-roledescription", "sheet to draw on with the arrow keys");
  }

  function drawAt(event) {
    const page = canvas.getBoundingClientRect();
    const panel = head.panels.at(head.pen.panel);
    const {back} = axes(panel, place.boxes.at(head.pen.panel));
    const [x, y] = back(event.clientX - page.left, event.clientY - page.top);
    const [x0, x1] = panel.xlim;
    drawTo((x - x0) / (x1 - x0) * (pen.heights.length - 1), y);
  }

  canvas.onpointerdown = event => {
    if (!head?.pen) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({preventScroll: true});
    event.preventDefault();
    pen.tip = null; // a new stroke
    pen.held = true;
    drawAt(event);
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    pen.held = false;
  };
  canvas.onkeydown = event => {
    const way = WAYS[event.key];
    if (!way || !head?.pen) return;
    event.preventDefault();
    event.stopPropagation();
    const [low, high] = head.panels.at(head.pen.panel).ylim;
    const [number, height] = pen.tip || [0, low];
    drawTo(Math.round(number) + way[0], height + way[1] * (high - low) / (event.shiftKey ? 10 : 50));
  };

  // ---- between Python and the page

  function update() {
    const bytes = model.get("frame");
    if (!bytes || bytes.byteLength < 4) return;
    head = readFrame(bytes);
    for (const spec of head.handles) {
      const item = knobs.get(spec.name) || makeKnob(spec);
      item.spec = spec;
      // Python may have put it elsewhere: on a step, or short of a neighbour
      if (head.hand >= item.sent) item.local = null;
    }
    if (head.pen && head.hand >= pen.sent) takePen();
    // acknowledges the frame, so that the kernel's "idle" behind it is not kept back (see canvas.py)
    model.send({seen: head.id});
    // in this order: paint reads the layout before words changes it
    paint();
    words();
    canvas.setAttribute("aria-busy", Boolean(head.coarse)); // a finer one follows
    clearTimeout(timer);
    if (!head.coarse) return;
    const id = head.id;
    timer = setTimeout(() => report("rest", id), 200);
  }

  function read() {
    readout.textContent = model.get("readout") || "\u00a0";
  }

  function point(at) {
    if (at.length || model.get("pointer").length) report("pointer", at);
  }

  canvas.onpointermove = event => {
    if (pen.held) return drawAt(event);
    if (!place || event.buttons) return;
    const x = event.offsetX;
    const y = event.offsetY;
    const inside = box => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h;
    const i = place.boxes.findIndex(inside);
    point(i < 0 ? [] : [i, ...axes(head.panels[i], place.boxes[i]).back(x, y)]);
  };
  canvas.onpointerleave = () => point([]);

  // A restart closes the model's channel; a kernel that was shut down leaves it open, and JupyterLab's session tells.
  const gone = () => say(GONE);
  const session = model.widget_manager.context?.sessionContext;

  model.on("change:frame", update);
  model.on("comm_live_update", gone);
  session?.kernelChanged.connect(gone);
  model.on("change:readout", read);
  const resized = new ResizeObserver(paint);
  const themed = new MutationObserver(paint);
  resized.observe(view);
  themed.observe(document.body, {
    attributes: true,
    attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"],
  });
  update();
  read();

  return () => {
    model.off("change:frame", update);
    model.off("comm_live_update", gone);
    session?.kernelChanged.disconnect(gone);
    model.off("change:readout", read);
    resized.disconnect();
    themed.disconnect();
    clearTimeout(timer);
  };
}

export default {render};
