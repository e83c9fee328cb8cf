"""How the pages of a large corpus are written, open, scroll, sort and search: ``python -m bench.pages``.

``marquee report`` over a made-up store (:mod:`bench.made_up_corpus`) runs in a process of its own; then a
headless Chromium opens the first page from the disk, as a double click does. Each time is the page's own, by
its clock; a frame is late that took more than 50 ms. Status 1 says that rows were there only after two
seconds, or that one frame in twenty of the scrolling was late.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.browser import NEEDED, launched
from bench.made_up_corpus import write_corpus
from bench.memory import measure

MOST_SECONDS, MOST_LATE = 2.0, 0.05
LATE_MS = 50.0
WORDS = ("storm", "strom", '"white mountain"')

_REPORT = "import sys; from pipeline.report.site import report; report(sys.argv[1], sys.argv[2])"
_NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
# From the navigation's start until rows have been painted.
_OPENED = f"""async () => {{
    while (!document.querySelector("#rows th")) await {_NEXT_FRAME};
    await {_NEXT_FRAME};
    return performance.now() / 1000;
}}"""
# Of 200 frames in each of which the table moves by 40 rows: milliseconds.
_SCROLLED = """async () => {
    const scroller = document.getElementById("scroller"), took = [];
    for (let last = performance.now(), i = 0; i < 200; i++) {
        scroller.scrollTop += 40 * 64;
        await new Promise(done => requestAnimationFrame(done));
        const now = performance.now();
        took.push(now - last);
        last = now;
    }
    return took;
}"""
_SORTED = f"""async () => {{
    const began = performance.now();
    document.querySelector("#head button").click();
    await {_NEXT_FRAME};
    return (performance.now() - began) / 1000;
}}"""
# Until the first line is there, and until all of the corpus has been searched.
_SEARCHED = f"""async (words) => {{
    const find = document.getElementById("find"), began = performance.now();
    let first = null;
    find.value = words;
    find.dispatchEvent(new Event("input"));
    const lines = document.getElementById("lines");
    lines.textContent = "";
    while (!lines.textContent || lines.textContent.endsWith("so far")) {{
        if (document.querySelector("#list li")) first ??= performance.now();
        await {_NEXT_FRAME};
    }}
    const now = performance.now();
    return [((first ?? now) - began) / 1000, (now - began) / 1000, lines.textContent];
}}"""


@dataclass(frozen=True)
class Opened:
    """What a browser took: seconds, milliseconds of each frame, bytes of its process and of its heap."""

    seconds: float
    frames: tuple[float, ...]
    sort_seconds: float
    searches: dict[str, tuple[float, float, str]]
    memory: int
    heap: int

    @property
    def late(self) -> float:
        """Share of the frames."""
        return sum(took > LATE_MS for took in self.frames) / len(self.frames)


def open_pages(browser: Any, site: Path, words: Sequence[str] = WORDS) -> Opened:
    """Open and use the first page in a browser of Playwright. Raises RuntimeError where an error occurs."""
    trouble: list[str] = []
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto((site / "index.html").as_uri(), wait_until="commit")
    seconds: float = page.evaluate(_OPENED)
    sort_seconds: float = page.evaluate(_SORTED)
    frames: list[float] = page.evaluate(_SCROLLED)
    searches = {sought: tuple(page.evaluate(_SEARCHED, sought)) for sought in words}
    heap: int = page.evaluate("performance.memory.usedJSHeapSize")
    memory = max(_resident(child) for child in psutil.Process().children(recursive=True))
    page.close()
    if trouble:
        raise RuntimeError("\n".join(trouble))
    return Opened(seconds, tuple(frames), sort_seconds, searches, memory, heap)


def _resident(process: psutil.Process) -> int:
    """Bytes of a process of the browser that shows pages; 0 of the others."""
    try:
        return process.memory_info().rss if "--type=renderer" in process.cmdline() else 0
    except psutil.Error:
        return 0


def table(videos: int, written: Any, size: int, opened: Opened) -> str:
    """As Markdown."""
    rows = [
        f"| {videos:,} videos | |",
        "|---|---|",
        f"| report written | {written.seconds:.0f} s, {written.peak_bytes / 1e6:.0f} MB of memory |",
        f"| size of the pages | {size / 1e6:.0f} MB |",
        f"| rows in sight | {opened.seconds:.2f} s |",
        f"| frames later than {LATE_MS:.0f} ms while scrolling | {100 * opened.late:.1f} % "
        f"(the longest {max(opened.frames):.0f} ms) |",
        f"| sorted by another column | {opened.sort_seconds:.2f} s |",
    ]
    for words, (first, all_, count) in opened.searches.items():
        rows.append(f"| search for {words}: first line, all {count} | {first:.2f} s, {all_:.2f} s |")
    rows.append(f"| memory after that | {opened.memory / 1e6:.0f} MB, heap {opened.heap / 1e6:.0f} MB |")
    return "\n".join(rows)


def main() -> None:
    """Measure and print."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--videos", type=int, default=10_000, help="in the store (default: 10,000)")
    parser.add_argument("--shots", type=int, default=12, help="of a video (default: 12)")
    parser.add_argument("--folder", type=Path, help="for store and pages (default: a temporary one)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marquee-pages-", dir=chosen.folder) as name:
        store, site = Path(name) / "features", Path(name) / "site"
        write_corpus(store, chosen.videos, shots=chosen.shots)
        command = [sys.executable, "-c", _REPORT, str(store), str(site)]
        written = measure(command)
        if written.status:
            sys.exit(written.output)
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        with sync_playwright() as running:
            browser = launched(running)
            if browser is None:
                sys.exit(NEEDED)
            opened = open_pages(browser, site)
        print(table(chosen.videos, written, size, opened))
    if opened.seconds > MOST_SECONDS or opened.late > MOST_LATE:
        sys.exit(1)


if __name__ == "__main__":
    main()
