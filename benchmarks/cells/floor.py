"""The floor: a callback that changes two pixels, which is what the way to the kernel and back costs."""

import anywidget
import ipywidgets
import traitlets


class TwoPixels(anywidget.AnyWidget):
    _esm = """
    export default {render({model, el}) {
        const canvas = el.appendChild(document.createElement("canvas")), context = canvas.getContext("2d");
        const paint = () => {
            const [red, green] = new Uint8Array(model.get("colour").buffer);
            context.fillStyle = `rgb(${red} ${green} 0)`;
            context.fillRect(0, 0, 2, 1);
        };
        model.on("change:colour", paint);
        paint();
    }};
    """
    colour = traitlets.Bytes(b"00").tag(sync=True)


def change(event):
    step = round((event["new"] + 4) / 0.05)
    pixels.colour = bytes([step, 255 - step])


pixels, slider = TwoPixels(), ipywidgets.FloatSlider(0.0, min=-4, max=4, step=0.05, description="b")
slider.observe(change, names="value")
ipywidgets.VBox([pixels, slider])
