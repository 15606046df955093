"""A real browser for tests: Debian's chromium, headless, spoken to by its own protocol, on loopback."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1500,1000",
)


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=120))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, url: str, *texts: str, seconds: float = 90) -> float:
        """Go to `url`; returns the seconds until all `texts` can be read on it."""
        self.call("Page.navigate", url=url)
        started = time.monotonic()
        while missing := [text for text in texts if text not in self.read_text()]:
            assert time.monotonic() - started < seconds, f"{url} does not say {missing}: {self.read_text()[:1500]}"
            time.sleep(0.1)
        return time.monotonic() - started

    def read_text(self) -> str:
        return str(self.evaluate("document.body ? document.body.innerText : ''") or "")

    def count_printed_pages(self) -> int:
        """How many sheets it takes on paper, as its own style says."""
        pdf = base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])
        return pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/")


@contextmanager
def open_browser(folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own below `folder`."""
    assert CHROMIUM is not None, "skip the test where there is no chromium"
    with subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            port = _wait_for_port(folder / "DevToolsActivePort")
            (tab,) = [tab for tab in httpx.get(f"http://127.0.0.1:{port}/json").json() if tab["type"] == "page"]
            with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()


def _wait_for_port(file: Path) -> int:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline, "chromium did not start"
        time.sleep(0.1)
    return int(file.read_text().splitlines()[0])
