"""What a reviewer with five minutes sees of a page: words, pictures, tables, and where the first screen ends."""

from __future__ import annotations

from pathlib import Path

from tests.browser.chromium import Page

MOST = {"words": 2_500, "characters": 4_500, "pictures": 8, "tables": 6}
SCREENS = {1280: 900, 390: 844}
"""Width of a window to the height of its first screen, in CSS pixels."""
MEASURE = r"""(wanted => {
  const shut = "details:not([open])";
  const folded = e => {
    for (let fold = e.closest(shut); fold; fold = fold.parentElement.closest(shut))
      if (!fold.querySelector(":scope > summary").contains(e)) return true;
  };
  const seen = e => e.checkVisibility() && !folded(e) && !e.closest(".vh, .skip, script, style");
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let text = "";
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    const inline = /^(a|b|span|strong|code|time)$/i.test(e.tagName);
    if (seen(e) && !e.closest("svg")) text += walk.currentNode.data + (inline ? "" : " ");
  }
  const large = e => seen(e) && !e.closest("svg svg") && e.getBoundingClientRect().width > 200;
  const count = selector => [...document.querySelectorAll(selector)];
  return {
    words: text.split(/\s+/).filter(Boolean).length,
    characters: (text.match(/\p{Script=Han}/gu) || []).length,
    pictures: count("svg:not(.strip), img").filter(large).length,
    tables: count("table").filter(seen).length,
    ends: wanted.map(selector => {
      const e = document.querySelector(selector);
      return e ? Math.round(e.getBoundingClientRect().bottom + scrollY) : null;
    }),
  };
})"""


def too_much(page: Page, path: Path, first: dict[int, list[str]]) -> list[str]:
    """Return what of a page does not fit into five minutes and its first screens; an empty list when all does.

    Parameters
    ----------
    page : Page
        A tab.
    path : Path
        The page, opened anew with its folds as they are.
    first : dict of int to list of str
        Width of a window to the selectors of what its first screen must hold to its end.
    """
    found = []
    for width, height in SCREENS.items():
        page.look(width, height)
        page.open(path)
        wanted = first.get(width, [])
        seen = page.evaluate(f"{MEASURE}({wanted})")
        found += [
            f"{seen[name]:,} {name}, must be <= {most:,}" for name, most in MOST.items() if seen[name] > most
        ]
        for selector, end in zip(wanted, seen["ends"], strict=True):
            if end is None or end > height:
                found.append(f"{selector} ends at {end} of {height} pixels, {width} wide")
    return found
