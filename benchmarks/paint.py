"""How soon a page can be read: first paint in headless Chromium on a processor slowed down four times.

    python benchmarks/paint.py [PAGE.html ...]

Without pages it takes every report under ``reports`` and its index (run `make reports` first), and an index of a
thousand versions, in which it also times the filter. The peer is an empty page, opened in turn with each: what
remains above it is the page's own share. Median of nine openings each, in milliseconds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

import _contenders

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.report.page.index import index_html  # noqa: E402
from tests.browser.chromium import COMMAND, Chromium, Page  # noqa: E402
from tests.report.sample_records import catalog  # noqa: E402

SLOWER, OPENINGS = 4, 9
PAINT = (
    "new Promise(done => new PerformanceObserver(list => {"
    " const first = list.getEntries().find(entry => entry.name === 'first-contentful-paint');"
    " if (first) done(first.startTime) }).observe({type: 'paint', buffered: true}))"
)
FILTER = (
    "(() => { const field = document.getElementById('words'), start = performance.now(); field.value = %r;"
    " field.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - start })()"
)


def paint(page: Page, path: Path) -> float:
    """Return the milliseconds from navigation to the first paint with content."""
    page.open(path)
    return float(page.evaluate(PAINT))


def main(paths: list[Path]) -> None:
    """Print the table."""
    if COMMAND is None:
        _contenders.note("Chromium is not here (Debian: chromium), so first paint was not measured.")
        return
    with tempfile.TemporaryDirectory() as folder, Chromium(COMMAND) as chromium, chromium.page() as page:
        empty, large = Path(folder, "empty.html"), Path(folder, "thousand-versions.html")
        empty.write_text("<!doctype html><title>Empty</title><p>Nothing")
        large.write_text(index_html(catalog(copies=50)), "utf-8")
        page.look(1280)
        page.call("Emulation.setCPUThrottlingRate", rate=SLOWER)
        rows = []
        for path in [*paths, large]:
            times = [(paint(page, path), paint(page, empty)) for _ in range(OPENINGS)]
            own, peer = median(time for time, _ in times), median(time for _, time in times)
            name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
            size = f"{path.stat().st_size / 1000:.1f}"
            rows.append({"first paint": name, "kB": size, "page ms": f"{own:.0f}", "empty ms": f"{peer:.0f}"})
        _contenders.table(rows)
        page.call("Emulation.setCPUThrottlingRate", rate=1)
        page.open(large)
        page.evaluate("document.body.offsetHeight")
        typed = [float(page.evaluate(FILTER % text)) for text in ("c", "co", "copy-4", "failed", "") * 3]
        _contenders.note(
            f"filter over a thousand versions, slowest and median of {len(typed)} inputs: "
            f"{max(typed):.0f} ms, {median(typed):.0f} ms"
        )


if __name__ == "__main__":
    given = [Path(name).resolve() for name in sys.argv[1:]]
    reports = ROOT / "reports"
    main(given or [*sorted(reports.glob("*/*/v*/report.html")), *reports.glob("index.html")])
