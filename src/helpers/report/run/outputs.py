"""What cells put out, bounded as it arrives, before anything reads it.

A cell in a loop prints hundreds of megabytes or draws a thousand pictures. The beginning is kept, and a note in the
cell says how much there was besides.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable
from typing import Any

from nbformat.v4 import new_output

from helpers.sentences import say, shortened

CELL_CHARACTERS = {"stream": 1_000_000, "error": 5_000_000}
CELL_CHARACTERS |= dict.fromkeys(("display_data", "execute_result", "update_display_data"), 5_000_000)
RUN_CHARACTERS = 20_000_000
CELL_OUTPUTS = 100
DEEPEST = 50  # levels of nesting: what writes and reads a notebook calls itself for each
LONGEST_ERROR = 20_000
FRAMES = 50  # parts of a traceback that are kept, at each of its ends


class Bounds:
    """Lets through what the cells of one run may put out."""

    def __init__(self) -> None:
        self.run = RUN_CHARACTERS
        self._begin()

    def _begin(self) -> None:
        """Begin a cell, or begin it anew when it has cleared what it had put out."""
        self.kept: Counter[str] = Counter()
        self.outputs = self.cut = 0

    def admit(self, message: dict[str, Any]) -> bool:
        """Say whether a message of the kernel is let through; texts in it may be cut short."""
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self._begin()
        if kind not in CELL_CHARACTERS:
            return True
        if kind == "error":
            parts = content["traceback"]
            content["evalue"] = shortened(content["evalue"], LONGEST_ERROR)
            content["traceback"] = [
                shortened(part, LONGEST_ERROR) for part in [*parts[:FRAMES], *parts[FRAMES:][-FRAMES:]]
            ]
        size, depth = _measure(content.get(name, "") for name in ("text", "data", "metadata", "traceback"))
        room = CELL_CHARACTERS[kind] - self.kept[kind]
        if kind != "error":  # the run may end with it
            room = min(room, self.run)
        if kind == "stream" and size > room:
            content["text"] = _beginning(content["text"], room)
            self.cut += size - len(content["text"])
            self.kept[kind] = CELL_CHARACTERS[kind] + 1  # what comes later would stand behind a gap
            return bool(content["text"])
        displays = kind in ("display_data", "execute_result")
        if size > room or depth > DEEPEST or (displays and self.outputs == CELL_OUTPUTS):
            self.cut += size
            return False
        self.kept[kind] += size
        self.outputs += displays
        return True

    def end(self, cell: Any) -> None:
        """End a cell: what it printed becomes one text for each stream, and a note says what was cut."""
        cell.outputs = _joined(cell.outputs)
        if self.cut:
            note = say(
                "Of what this cell put out, {cut:,} characters are left out: a report has room for {text:,} "
                "characters of print, and for {outputs:,} outputs of {most:,} characters together.",
                cut=self.cut,
                text=CELL_CHARACTERS["stream"],
                outputs=CELL_OUTPUTS,
                most=CELL_CHARACTERS["display_data"],
            )
            data = {"text/html": f'<p class="note">{html.escape(note)}</p>', "text/plain": note}
            cell.outputs.append(new_output("display_data", data))
        self.run -= sum(self.kept.values())
        self._begin()


def _beginning(text: str, room: int) -> str:
    """Return what there is room for: whole lines where one ends near, so that no half of a secret is left."""
    if room < 0:
        return ""
    end = text.rfind("\n", max(room - 1000, 0), room)
    return text[: end + 1] or f"{text[:room]}…"


def _measure(values: Iterable[Any]) -> tuple[int, int]:
    """Return about how many characters JSON values have, and how deep they are nested."""
    size, deepest, parts = 0, 0, [(value, 0) for value in values]
    while parts:
        part, depth = parts.pop()
        deepest = max(deepest, depth)
        inner = [*part, *part.values()] if isinstance(part, dict) else part if isinstance(part, list) else []
        parts += [(each, depth + 1) for each in inner]
        size += len(part) if isinstance(part, str) else 2
    return size, deepest


def _joined(outputs: list[Any]) -> list[Any]:
    """Return outputs with one text for each stream where it began, of two beside each other stdout first."""
    texts: dict[str, list[str]] = {}
    joined = []
    for output in outputs:
        if output.output_type != "stream":
            joined.append(output)
            continue
        if output.name not in texts:
            texts[output.name] = []
            joined.append(output)
        texts[output.name].append(output.text)
    for output in joined:
        if output.output_type == "stream":
            lines = "".join(texts[output.name]).split("\n")
            output.text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)
    return joined
