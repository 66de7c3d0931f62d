"""Drive Chromium over its debugging pipe: no driver, no package, no network.

Chromium started with --remote-debugging-pipe reads commands from file descriptor 3 and
writes answers and events to 4, each a line of JSON that ends in a zero byte.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60  # for an answer; a loaded machine starts a browser slowly
INSTALL = (
    "no browser was found. On Debian or Ubuntu: .ci/browser, as root (it runs apt-get "
    "install chromium); elsewhere install Chromium or Chrome. CHROMIUM=PATH names one."
)


def executable() -> str | None:
    """The path of an installed browser."""
    asked = os.environ.get("CHROMIUM")
    found = (shutil.which(name) for name in ((asked,) if asked else NAMES))
    return next((path for path in found if path), None)


class Gone(Exception):
    """The browser does not answer."""


@dataclass
class Browser:
    process: "subprocess.Popen[bytes]"
    write: int
    read: int
    profile: Path
    number: int = 0
    rest: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(
        self, method: str, session: str | None = None, **params: Any
    ) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come before are kept."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method}
        message |= {"params": params} | ({"sessionId": session} if session else {})
        os.write(self.write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + SECONDS
        while True:
            answer = self._next(until)
            if answer.get("id") == self.number:
                break
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.read], [], [], left)[0]:
                raise Gone(f"no answer in {SECONDS} s")
            part = os.read(self.read, 1 << 16)
            if not part:
                raise Gone("the browser has ended")
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def page(
        self, wide: int, high: int, dark: bool = False, still: bool = False
    ) -> "Page":
        """A new page. still: its reader does not want motion."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"], target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.size(wide, high)
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        page.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": x} for name, x in features.items()],
        )
        return page

    def close(self) -> None:
        for end in (self.write, self.read):
            os.close(end)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        shutil.rmtree(self.profile, ignore_errors=True)


@dataclass
class Page:
    browser: Browser
    session: str
    target: str

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def size(self, wide: int, high: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=wide, height=high, deviceScaleFactor=1, mobile=wide < 600,
        )  # fmt: skip

    def open(self, address: str) -> None:
        """Open an address and wait until the page's script is ready."""
        self.call("Page.navigate", url=address)
        self.until("document.documentElement?.dataset?.ready")

    def js(self, expression: str) -> Any:
        """The value of an expression, which may be a promise."""
        found = self.call(
            "Runtime.evaluate",
            expression=expression, returnByValue=True, awaitPromise=True,
        )  # fmt: skip
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:800])
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 30) -> Any:
        end = time.monotonic() + seconds
        while not (value := self.js(expression)):
            if time.monotonic() > end:
                raise AssertionError(f"never true in {seconds} s: {expression}")
            time.sleep(0.02)
        return value

    def settled(self) -> None:
        """Wait for two frames: the page is drawn and its address written."""
        self.js(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    def click(self, selector: str) -> None:
        """Click with the pointer at the element: a covered element is not hit."""
        x, y = self.js(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', inline: 'center'});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2];})()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind, x=x, y=y, button="left", clickCount=1,
            )  # fmt: skip
        self.settled()

    def key(self, name: str, text: str = "") -> None:
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
                 "Enter": 13, "Escape": 27, "Tab": 9}  # fmt: skip
        code = codes.get(name, 0)
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=name, code=name, windowsVirtualKeyCode=code, text=text,
            )  # fmt: skip
        self.settled()

    def type(self, selector: str, text: str) -> None:
        self.js(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)
        self.settled()

    def put(self, selector: str, value: Any) -> None:
        """Move a slider, or choose from a list."""
        self.js(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            f"e.value = {json.dumps(str(value))};"
            "const kind = e.tagName === 'SELECT' ? 'change' : 'input';"
            "e.dispatchEvent(new Event(kind));})()"
        )
        self.settled()

    def picture(self, path: Path, whole: bool = False) -> None:
        found = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole
        )
        path.write_bytes(base64.b64decode(found["data"]))

    def told(self) -> list[dict[str, Any]]:
        """Events of this page so far."""
        self.js("0")
        return [e for e in self.browser.events if e.get("sessionId") == self.session]

    def complaints(self) -> list[str]:
        """Exceptions, and errors and warnings of the console."""
        found = []
        for event in self.told():
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"])[:600])
            elif event["method"] == "Runtime.consoleAPICalled":
                if params["type"] in ("error", "warning", "assert"):
                    found.append(json.dumps(params["args"])[:600])
            elif event["method"] == "Log.entryAdded":
                entry = params["entry"]
                found += [entry["text"]] * (entry["level"] in ("error", "warning"))
        return found

    def requests(self) -> list[str]:
        """Addresses that the page requested."""
        return [
            e["params"]["request"]["url"]
            for e in self.told()
            if e["method"] == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


@contextmanager
def started(path: str) -> Iterator[Browser]:
    """A headless browser with its own profile; both are removed when the block ends."""
    profile = Path(tempfile.mkdtemp(prefix="sparsetx-browser-"))
    theirs_read, ours_write = os.pipe()
    ours_read, theirs_write = os.pipe()
    # A shell makes its ends file descriptors 3 and 4, then executes the browser.
    command = [
        "bash", "-c", f'exec "$0" "$@" 3<&{theirs_read} 4>&{theirs_write}', path,
        "--headless", "--remote-debugging-pipe", f"--user-data-dir={profile}",
        "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--disable-extensions", "--hide-scrollbars",
        "--force-color-profile=srgb", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        pass_fds=(theirs_read, theirs_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for end in (theirs_read, theirs_write):
        os.close(end)
    browser = Browser(process, ours_write, ours_read, profile)
    try:
        yield browser
    finally:
        browser.close()
