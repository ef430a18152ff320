"""The server config of `make lab`: the reader's own copy of the pages opens, small answers of the kernel leave at once,
no news prompt.

Jupyter Server leaves Nagle's algorithm on for the websocket to the browser: while a slider is dragged, each small
answer may wait 40 ms for the acknowledgement of the one before. Switched off, the picture follows the hand closely.
"""

import sys
from pathlib import Path

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """The usual connection to a kernel, without waiting (TCP_NODELAY)."""

    def connect(self):
        self.websocket_handler.set_nodelay(True)
        return super().connect()


HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from working_copy import update  # noqa: E402

for sentence in update(HERE.parent / "notebooks", HERE.parent / "my_pages"):
    print(sentence, file=sys.stderr)

c = get_config()  # noqa: F821 (Jupyter puts it there)
c.ServerApp.kernel_websocket_connection_class = PromptConnection
c.ServerApp.root_dir = str(HERE.parent)
c.ServerApp.allow_root = True  # a container's user is often root; the server listens on this machine alone
c.LabApp.default_url = "/lab/tree/my_pages/00_start_here.ipynb"
c.LabApp.app_settings_dir = str(HERE / "settings")
c.LabApp.news_url = None
