"""Compare two versions: what changed, why, and whether the findings moved beyond chance.

The page of ``rfm/douyin@v2`` against ``rfm/douyin@v3`` lies at ``rfm/douyin/diffs/v2-v3.html`` in the reports folder:
beside the version folders, which never change, and where no version is looked for. Between two series it lies with
the later named one and names the other with a point for its slash: ``rfm/weibo/diffs/rfm.douyin-v3-v1.html``. It can
be thrown away at any time; the same two versions give the same bytes.
"""

from helpers.report.diff.address import resolve
from helpers.report.diff.compare import Comparison, compare
from helpers.report.diff.page import write
from helpers.report.diff.terminal import command

__all__ = ["Comparison", "command", "compare", "resolve", "write"]
