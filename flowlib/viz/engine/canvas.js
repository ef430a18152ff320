// The live picture of an explorer. Python computes every number; this file only paints them and reports the hand.
// A frame is one bytes message: see canvas.py for its layout.

const MARGIN = {left: 36, right: 12, top: 26, bottom: 24}, KEY = 34, GAP = 8;

const STYLE = `
.fl-view { position: relative; width: 100%; font-family: var(--jp-ui-font-family, sans-serif); color: var(--jp-ui-font-color1, #555); }
.fl-stage { position: relative; margin: 0; }
.fl-stage canvas { display: block; touch-action: pan-y; }
.fl-stage svg { position: absolute; inset: 0; pointer-events: none; }
.fl-knob { position: absolute; width: 24px; height: 24px; margin: -12px 0 0 -12px; border-radius: 50%; cursor: grab; touch-action: none;
  display: flex; align-items: center; justify-content: center; font: 600 13px var(--jp-ui-font-family, sans-serif); box-sizing: border-box;
  color: #0b1326; background: #f4f6fa; border: 2px solid #0b1326; box-shadow: 0 0 0 1px #f4f6fa99; user-select: none; }
.fl-knob:active { cursor: grabbing; }
.fl-knob:focus { outline: none; }
.fl-knob:focus-visible, .fl-knob:active { outline: 3px solid var(--jp-brand-color1, #2196f3); outline-offset: 2px; }
.fl-line { display: flex; flex-wrap: wrap; gap: 2px 20px; min-height: 20px; padding: 0 12px 0 36px; font-size: 13px; line-height: 20px;
  font-variant-numeric: tabular-nums; box-sizing: border-box; }
.fl-line b { font-weight: 600; }
.fl-soft { color: var(--jp-ui-font-color2, #777); }
.fl-light { font-weight: 600; }
.fl-error { position: absolute; box-sizing: border-box; padding: 20px; overflow: auto;
  background: #0b1326; color: #f4f6fa; font-size: 14px; line-height: 1.5; }
.fl-error b { display: block; color: #ff9aa5; margin-bottom: 6px; }
.fl-error i { display: block; color: #a9b4c8; margin-top: 10px; font-style: normal; }`;

function readFrame(view) {
  const size = view.getUint32(0, true), start = view.byteOffset + 4 + size;
  const fetch = (key, v) => {
    if (!v || !v.$) return v;
    const [kind, offset, count] = v.$, bytes = view.buffer.slice(start + offset, start + offset + count * (kind === "f4" ? 4 : 1));
    return Object.assign(kind === "f4" ? new Float32Array(bytes) : new Uint8Array(bytes), {shape: v.shape});
  };
  return JSON.parse(new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + 4, size)), fetch);
}

// ---- painting: one function a kind of layer; X and Y turn data coordinates into CSS pixels -------------------------------------
const rgb = code => [1, 3, 5].map(i => parseInt(code.slice(i, i + 2), 16));

function heat(c, layer, panel, X, Y, theme) {
  const [h, w] = layer.levels.shape, off = new OffscreenCanvas(w, h), o = off.getContext("2d"), image = o.createImageData(w, h);
  const table = theme.packed[layer.table], pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[layer.levels[i]];
  o.putImageData(image, 0, 0);
  const [x0, x1] = layer.xlim || panel.xlim, [y0, y1] = layer.ylim || panel.ylim;
  c.drawImage(off, X(x0), Y(y1), X(x1) - X(x0), Y(y0) - Y(y1));
}

function lines(c, layer, panel, X, Y, theme) {
  const [n, v] = layer.points.shape, p = layer.points, paths = new Map();
  for (let i = 0; i < n; i++) for (let j = 0, last = -1; j < v - 1; j++) {
    const a = 2 * (i * v + j), level = layer.levels ? layer.levels[i * (v - 1) + j] : 0;
    if (isNaN(p[a] + p[a + 1] + p[a + 2] + p[a + 3])) { last = -1; continue; }
    if (!paths.has(level)) paths.set(level, new Path2D());
    const path = paths.get(level);
    if (level !== last) path.moveTo(X(p[a]), Y(p[a + 1]));
    path.lineTo(X(p[a + 2]), Y(p[a + 3]));
    last = level;
  }
  c.lineWidth = layer.width; c.globalAlpha = layer.alpha; c.lineJoin = "round";
  c.setLineDash(layer.dash ? [5, 4] : []);
  for (const [level, path] of paths) { c.strokeStyle = layer.levels ? theme.tables.diverging[level] : layer.color; c.stroke(path); }
  c.setLineDash([]);
}

function dots(c, layer, panel, X, Y) {
  const p = layer.points, r = layer.size;
  c.globalAlpha = layer.alpha; c.fillStyle = layer.color; c.beginPath();
  for (let i = 0; i < p.length; i += 2) { const x = X(p[i]), y = Y(p[i + 1]); c.moveTo(x + r, y); c.arc(x, y, r, 0, 7); }
  c.fill();
}

function polygon(c, layer, panel, X, Y) {
  const p = layer.points;
  c.beginPath();
  for (let i = 0; i < p.length; i += 2) c.lineTo(X(p[i]), Y(p[i + 1]));
  c.closePath(); c.globalAlpha = layer.alpha; c.fillStyle = layer.color; c.fill();
  if (layer.edge) { c.globalAlpha = 1; c.strokeStyle = layer.edge; c.lineWidth = layer.width; c.stroke(); }
}

function vector(c, layer, panel, X, Y) {
  const [a, b, d, e] = layer.points, x0 = X(a), y0 = Y(b), x1 = X(d), y1 = Y(e), long = Math.hypot(x1 - x0, y1 - y0);
  if (!(long > 0.5)) return;
  const ux = (x1 - x0) / long, uy = (y1 - y0) / long, k = Math.min(9, long);
  c.strokeStyle = c.fillStyle = layer.color; c.lineWidth = layer.width;
  c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1 - ux * k * 0.8, y1 - uy * k * 0.8); c.stroke();
  c.beginPath(); c.moveTo(x1, y1); c.lineTo(x1 - k * (ux - uy * 0.45), y1 - k * (uy + ux * 0.45));
  c.lineTo(x1 - k * (ux + uy * 0.45), y1 - k * (uy - ux * 0.45)); c.fill();
  if (layer.text) write(c, layer.text, x1 + 11 * ux, y1 + 11 * uy, layer.color, 13, "center", 600);
}

function label(c, layer, panel, X, Y) {
  write(c, layer.text, X(layer.at[0]), Y(layer.at[1]), layer.color, layer.size, layer.align);
}

function write(c, text, x, y, color, size, align = "center", weight = 400) {
  c.font = `${weight} ${size}px ${c.family}`; c.fillStyle = color; c.textAlign = align; c.textBaseline = "middle";
  c.fillText(text, x, y);
}

const PAINT = {heat, lines, dots, polygon, vector, label};

function paintPanel(c, panel, box, ink, theme) {
  const X = x => box.x + (x - panel.xlim[0]) / (panel.xlim[1] - panel.xlim[0]) * box.w;
  const Y = y => box.y + (panel.ylim[1] - y) / (panel.ylim[1] - panel.ylim[0]) * box.h;
  c.save(); c.beginPath(); c.rect(box.x, box.y, box.w, box.h); c.clip();
  c.fillStyle = theme.night; c.fillRect(box.x, box.y, box.w, box.h);
  for (const layer of panel.layers) { c.save(); PAINT[layer.kind](c, layer, panel, X, Y, theme); c.restore(); }
  c.restore();
  write(c, panel.title, box.x + box.w / 2, box.y - 13, ink[0], 14, "center", 500);
  for (const [at, text] of panel.xticks) write(c, text, X(at), box.y + box.h + 12, ink[1], 11);
  for (const [at, text] of panel.yticks) write(c, text, box.x - 6, Y(at), ink[1], 11, "right");
  if (panel.xlabel) write(c, panel.xlabel, box.x + box.w / 2, box.y + box.h + 27, ink[1], 12);
  if (panel.ylabel) {
    c.save(); c.translate(box.x - (panel.yticks.length ? 28 : 14), box.y + box.h / 2); c.rotate(-Math.PI / 2);
    write(c, panel.ylabel, 0, 0, ink[1], 12); c.restore();
  }
}

function paintKey(c, key, x, y, width, ink, theme) {
  c.font = `400 12px ${c.family}`;
  const from = x + c.measureText(key.title).width + 12, wide = Math.min(200, x + width - from - 16), table = theme.tables[key.table];
  write(c, key.title, x, y + 5, ink[0], 12, "left");
  table.forEach((color, i) => { c.fillStyle = color; c.fillRect(from + i * wide / table.length, y, wide / table.length + 0.6, 9); });
  for (const [at, text] of key.ticks) write(c, text, from + at * wide, y + 17, ink[1], 10.5);
}

// Where everything stands, in CSS pixels, for a cell of this width.
function layout(head, width) {
  const n = head.panels.length, stacked = n > 1 && width / n < 230, columns = stacked ? 1 : n;
  const cell = Math.min(width / columns, n > 1 ? 450 : 520), under = head.panels.some(p => p.xlabel) ? 14 : 0;
  const w = cell - MARGIN.left - MARGIN.right, high = p => p.aspect ? w * p.aspect : p.height, boxes = [];
  let y = 0;
  for (let i = 0; i < n; i += columns) {
    const row = head.panels.slice(i, i + columns), tall = Math.max(...row.map(high));
    row.forEach((p, j) => boxes.push({x: j * cell + MARGIN.left, y: y + MARGIN.top + (tall - high(p)) / 2, w, h: high(p)}));
    y += MARGIN.top + tall + MARGIN.bottom + under;
  }
  return {boxes, width: cell * columns, keyTop: y + 6, height: y + (head.keys.length ? KEY : GAP)};
}

// ---- the widget ------------------------------------------------------------------------------------------------------------------
const make = (tag, className, parent) => Object.assign(parent.appendChild(document.createElement(tag)), {className});

function render({model, el}) {
  const theme = {...model.get("theme"), packed: {}};
  for (const [name, codes] of Object.entries(theme.tables))
    theme.packed[name] = Uint32Array.from(codes, code => { const [r, g, b] = rgb(code); return (255 << 24 | b << 16 | g << 8 | r) >>> 0; });
  const view = make("div", "fl-view", el);
  make("style", "", view).textContent = STYLE;
  const stage = make("div", "fl-stage", view), canvas = make("canvas", "", stage), error = make("div", "fl-error", stage);
  const shafts = stage.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
  const light = make("span", "fl-light", make("div", "fl-line", view)), numbers = make("span", "", light.parentNode);
  const readout = make("div", "fl-line fl-soft", view);
  canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", model.get("alt"));
  light.setAttribute("role", "status"); error.setAttribute("role", "alert");
  let head = null, place = null, timer = 0, sent = 0;
  const knobs = new Map();                       // name -> {knob, shaft, spec, local}; local: where the hand put it, until Python has answered

  function paint() {
    if (!head || !head.panels.length) return;
    const width = Math.max(240, view.clientWidth || 480), dpr = window.devicePixelRatio || 1, look = getComputedStyle(view);
    place = layout(head, width);
    if (canvas.width !== Math.round(place.width * dpr) || canvas.height !== Math.round(place.height * dpr)) {
      canvas.width = Math.round(place.width * dpr); canvas.height = Math.round(place.height * dpr);
      canvas.style.width = `${place.width}px`; canvas.style.height = `${place.height}px`;
      shafts.setAttribute("width", place.width); shafts.setAttribute("height", place.height);
      stage.style.width = `${place.width}px`;
    }
    const c = canvas.getContext("2d"), ink = [look.color, getComputedStyle(readout).color];
    c.family = look.fontFamily; c.setTransform(dpr, 0, 0, dpr, 0, 0); c.clearRect(0, 0, place.width, place.height);
    head.panels.forEach((panel, i) => paintPanel(c, panel, place.boxes[i], ink, theme));
    const share = (place.width - MARGIN.left - MARGIN.right) / Math.max(1, head.keys.length);
    head.keys.forEach((key, i) => paintKey(c, key, MARGIN.left + i * share, place.keyTop, share, ink, theme));
    const left = Math.min(...place.boxes.map(b => b.x)), top = Math.min(...place.boxes.map(b => b.y));
    Object.assign(error.style, {left: `${left}px`, top: `${top}px`, width: `${Math.max(...place.boxes.map(b => b.x + b.w)) - left}px`,
      height: `${Math.max(...place.boxes.map(b => b.y + b.h)) - top}px`});
    placeKnobs();
  }

  function words() {
    light.style.display = head.light ? "" : "none";
    light.textContent = head.light ? `${head.light[0] ? "● " : "▲ "}${head.light[1]}` : "";
    light.style.color = head.light ? theme[head.light[0] ? "good" : "bad"] : "";
    numbers.replaceChildren();
    for (const [name, text] of head.numbers) { const s = make("span", "", numbers); s.textContent = `${name} `; make("b", "", s).textContent = text; s.style.marginRight = "20px"; }
    error.hidden = !head.error; error.style.display = head.error ? "block" : "none"; error.replaceChildren();
    if (head.error) for (const [i, tag] of ["b", "span", "i"].entries()) make(tag, "", error).textContent = head.error[i];
  }

  function placeKnobs() {
    for (const item of knobs.values()) {
      const {spec, knob, shaft} = item, panel = head.panels.at(spec.panel), box = place.boxes.at(spec.panel), [x, y] = item.local || spec.at;
      const px = v => box.x + (v - panel.xlim[0]) / (panel.xlim[1] - panel.xlim[0]) * box.w;
      const py = v => box.y + (panel.ylim[1] - v) / (panel.ylim[1] - panel.ylim[0]) * box.h;
      knob.style.left = `${Math.min(box.x + box.w, Math.max(box.x, px(x)))}px`;
      knob.style.top = `${Math.min(box.y + box.h, Math.max(box.y, py(y)))}px`;
      if (spec.origin) for (const [k, v] of Object.entries({x1: px(spec.origin[0]), y1: py(spec.origin[1]), x2: parseFloat(knob.style.left), y2: parseFloat(knob.style.top)})) shaft.setAttribute(k, v);
      knob.setAttribute("aria-valuenow", x);
      knob.setAttribute("aria-valuetext", spec.free ? `${spec.label}: ${x.toFixed(2)}, ${y.toFixed(2)}` : `${spec.label}: ${x.toFixed(2)}`);
    }
  }

  function moveTo(item, x, y) {
    const {spec} = item, clip = v => Math.min(spec.high, Math.max(spec.low, v));
    item.local = [clip(x), spec.free ? clip(y) : spec.at[1]]; item.sent = sent = Math.max(sent, head.hand) + 1;
    placeKnobs();
    model.set("hand", {name: spec.name, at: item.local, count: sent}); model.save_changes();
  }

  function makeKnob(spec) {
    const knob = make("div", "fl-knob", stage), shaft = shafts.appendChild(document.createElementNS(shafts.namespaceURI, "line"));
    const item = {knob, shaft, spec, local: null, held: false, sent: 0};
    Object.assign(knob, {tabIndex: 0, textContent: spec.label});
    for (const [k, v] of Object.entries({role: "slider", "aria-label": spec.free ? `${spec.label}: move with the arrow keys in two directions` : spec.label, "aria-roledescription": "handle in the picture", "aria-valuemin": spec.low, "aria-valuemax": spec.high})) knob.setAttribute(k, v);
    if (spec.origin) for (const [k, v] of Object.entries({stroke: "#f4f6fa", "stroke-width": 2})) shaft.setAttribute(k, v);
    knob.onpointerdown = e => { knob.setPointerCapture(e.pointerId); item.held = true; knob.focus({preventScroll: true}); e.preventDefault(); };
    knob.onpointerup = knob.onpointercancel = () => { item.held = false; };
    knob.onpointermove = e => {
      if (!item.held) return;
      const r = canvas.getBoundingClientRect(), b = place.boxes.at(spec.panel), p = head.panels.at(spec.panel);
      moveTo(item, p.xlim[0] + (e.clientX - r.left - b.x) / b.w * (p.xlim[1] - p.xlim[0]), p.ylim[1] - (e.clientY - r.top - b.y) / b.h * (p.ylim[1] - p.ylim[0]));
    };
    knob.onkeydown = e => {
      const d = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[e.key], [x, y] = item.local || item.spec.at;
      if (!d) return;
      e.preventDefault(); e.stopPropagation();
      const step = item.spec.step * (e.shiftKey ? 10 : 1);
      moveTo(item, x + step * (spec.free ? d[0] : d[0] + d[1]), y + step * d[1]);
    };
    knobs.set(spec.name, item);
    return item;
  }

  function update() {
    const bytes = model.get("frame");
    if (!bytes || bytes.byteLength < 4) return;
    head = readFrame(bytes);
    for (const spec of head.handles) {
      const item = knobs.get(spec.name) || makeKnob(spec);
      item.spec = spec;
      if (head.hand >= item.sent) item.local = null;   // Python may have put it elsewhere: on a step, or short of a neighbour
    }
    model.send({seen: head.id});         // acknowledges the frame, so that the kernel's "idle" behind it is not kept back (see canvas.py)
    paint(); words();   // in this order: paint reads the layout before words changes it
    clearTimeout(timer);
    if (head.coarse) { const id = head.id; timer = setTimeout(() => { model.set("rest", id); model.save_changes(); }, 200); }
  }

  canvas.onpointermove = e => {
    if (!place || e.buttons) return;
    const x = e.offsetX, y = e.offsetY, i = place.boxes.findIndex(b => x >= b.x && x <= b.x + b.w && y >= b.y && y <= b.y + b.h);
    const at = i < 0 ? [] : [i, ...((p, b) => [p.xlim[0] + (x - b.x) / b.w * (p.xlim[1] - p.xlim[0]), p.ylim[1] - (y - b.y) / b.h * (p.ylim[1] - p.ylim[0])])(head.panels[i], place.boxes[i])];
    if (at.length || model.get("pointer").length) { model.set("pointer", at); model.save_changes(); }
  };
  canvas.onpointerleave = () => { if (model.get("pointer").length) { model.set("pointer", []); model.save_changes(); } };

  const read = () => { readout.textContent = model.get("readout") || "\u00a0"; };
  model.on("change:frame", update); model.on("change:readout", read);
  const resized = new ResizeObserver(paint), themed = new MutationObserver(paint);
  resized.observe(view); themed.observe(document.body, {attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"]});
  update(); read();
  return () => { model.off("change:frame", update); model.off("change:readout", read); resized.disconnect(); themed.disconnect(); clearTimeout(timer); };
}

export default {render};
