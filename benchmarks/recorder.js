// Runs in the page before JupyterLab does: notes when the hand moved and when a new picture stood on the screen.
// A picture is the <img> or <canvas> of an output; it is new when its pixels differ from those of the one before.
// "On the screen" is the first task after the animation frame in which it was drawn; all times are ms of this page.
(() => {
  const inputs = [], pictures = [], drawn = new Set(), shown = new MessageChannel();
  const copy = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  let last = null, copying = false;

  function fingerprint(picture) {
    const width = picture.naturalWidth || picture.width, height = picture.naturalHeight || picture.height;
    copying = true;                                      // the copy is a canvas too: its own drawing is not noted
    Object.assign(copy.canvas, {width, height});
    copy.drawImage(picture, 0, 0);
    copying = false;
    const pixels = new Uint32Array(copy.getImageData(0, 0, width, height).data.buffer);
    return pixels.reduce((sum, pixel) => Math.imul(sum ^ pixel, 0x9e3779b1) ^ (sum >>> 15), 1);
  }

  shown.port1.onmessage = () => {
    const time = performance.now();
    for (const picture of drawn) {
      const print = picture.isConnected ? fingerprint(picture) : last;
      if (print !== last) pictures.push({time, print});
      last = print;
    }
    drawn.clear();
  };

  function note(picture) {
    if (copying || !picture.closest(".jp-OutputArea-output")) return;
    if (!drawn.size) requestAnimationFrame(() => shown.port2.postMessage(0));
    drawn.add(picture);
  }

  document.addEventListener("load", event => event.target.tagName === "IMG" && note(event.target), true);
  for (const name of ["clearRect", "fillRect"]) {        // each of the two canvases begins its picture with one of these
    const draw = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...box) { note(this.canvas); return draw.apply(this, box); };
  }
  for (const type of ["keydown", "pointermove", "pointerup"])
    document.addEventListener(type, event => inputs.push({type, time: event.timeStamp}), {capture: true, passive: true});

  window.recorder = {
    begin() { inputs.length = pictures.length = 0; },
    // What was noted since `begin`, once there is a new picture and none has come for `quiet` ms (null: too late).
    async rest(quiet, limit) {
      for (const start = performance.now(); performance.now() - start < limit;) {
        await new Promise(next => setTimeout(next, 10));
        if (pictures.length && performance.now() - pictures.at(-1).time > quiet) return {inputs, pictures};
      }
      return null;
    },
  };
})();
