"""Outputs: what a cell puts out is bounded as it arrives, and a note tells what was cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, output_from_msg

from helpers.report.publish.manifest import read_manifest
from helpers.report.run import outputs
from helpers.report.run.outputs import CELL_CHARACTERS, CELL_OUTPUTS, LONGEST_ERROR, RUN_CHARACTERS, Bounds
from helpers.report.run.result import RunResult

TEXT, MOST = CELL_CHARACTERS["stream"], CELL_CHARACTERS["display_data"]


def message(kind: str, **content: Any) -> dict[str, Any]:
    return {"msg_type": kind, "header": {"msg_type": kind}, "content": content}


def printed(text: str, name: str = "stdout") -> dict[str, Any]:
    return message("stream", name=name, text=text)


def shown(data: Any, kind: str = "display_data", metadata: Any = None) -> dict[str, Any]:
    return message(kind, data={"text/html": data}, metadata=metadata or {}, execution_count=1)


def put_out(bounds: Bounds, *messages: dict[str, Any]) -> NotebookNode:
    """Return a cell as it is after these messages, the way a client puts it together."""
    cell = new_code_cell()
    for each in messages:
        if bounds.admit(each) and each["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            cell.outputs.append(output_from_msg(each))
    bounds.end(cell)
    return cell


def cut(cell: NotebookNode) -> int:
    """Return the number of characters that the note of a cell tells are cut; 0 without a note."""
    note = cell.outputs[-1].get("data", {}).get("text/html", "") if cell.outputs else ""
    return int(note.split(", ", 1)[1].split()[0].replace(",", "")) if 'class="note"' in note else 0


def test_what_there_is_room_for_stays_as_it_is() -> None:
    cell = put_out(
        Bounds(), printed("a\n"), printed("w\n", "stderr"), shown("<p>b</p>"), printed("b\r\nc\rd")
    )
    assert [output.get("text") for output in cell.outputs] == ["a\nb\nd", "w\n", None]
    assert cell.outputs[2].data == {"text/html": "<p>b</p>"} and cut(cell) == 0


@pytest.mark.parametrize(
    "piece",
    ["x" * 99 + "\n" + "y" * 399 + "\n" + "z" * 10_000 + "\n" + ("w" * 399 + "\n") * 25, "x" * 250_000],
    ids=["lines", "no lines"],
)
def test_a_flood_of_print_keeps_its_beginning(piece: str) -> None:
    count = 3 * TEXT // len(piece)
    cell = put_out(Bounds(), *(printed(piece) for _ in range(count)), shown("<p>picture</p>"))
    text = cell.outputs[0].text
    whole = piece * count
    assert TEXT - 1000 <= len(text) <= TEXT + 1
    assert whole.startswith(text.removesuffix("…")) and text[-1] in "\n…"
    assert cut(cell) == len(whole) - len(text)
    assert cell.outputs[1].data == {"text/html": "<p>picture</p>"}, "print takes no room from pictures"


def test_pictures_without_end_keep_the_first() -> None:
    many = put_out(Bounds(), *(shown(f"{n:04}") for n in range(1000)))
    assert [output.data["text/html"] for output in many.outputs[:-1]] == [
        f"{n:04}" for n in range(CELL_OUTPUTS)
    ]
    assert cut(many) >= 4 * (1000 - CELL_OUTPUTS)
    large = put_out(Bounds(), shown("a" * MOST), shown("b"))
    assert large.outputs[0].data["text/html"] == "b" and cut(large) >= MOST, "what is small finds room beside"
    updated = put_out(Bounds(), *(shown("a" * 1_000_000, "update_display_data") for _ in range(6)))
    assert cut(updated) >= 1_000_000


def test_a_run_has_a_bound_of_its_own_that_an_error_does_not_meet() -> None:
    bounds = Bounds()
    cells = [put_out(bounds, shown("a" * 4_000_000)) for _ in range(6)]
    assert [cut(cell) > 0 for cell in cells] == [False] * (RUN_CHARACTERS // 4_000_000 - 1) + [True] * 2
    error = put_out(bounds, message("error", ename="E", evalue="m" * 10**6, traceback=["t" * 10**6] * 1000))
    assert error.outputs[0].evalue == "m" * LONGEST_ERROR + f"… ({10**6 - LONGEST_ERROR:,} more characters)"
    assert len(error.outputs[0].traceback) == 2 * outputs.FRAMES
    assert len("".join(error.outputs[0].traceback)) < CELL_CHARACTERS["error"]


def test_nesting_that_nothing_could_read_is_cut() -> None:
    deep: Any = "x"
    for _ in range(outputs.DEEPEST):
        deep = {"a": [deep]}
    assert cut(put_out(Bounds(), shown("<p>a</p>", metadata=deep))) > 0
    assert cut(put_out(Bounds(), shown(deep, "execute_result"))) > 0


def test_what_a_cell_clears_takes_no_room() -> None:
    cell = put_out(Bounds(), printed("a" * TEXT), message("clear_output", wait=False), printed("b"))
    assert cell.outputs[-1].text.endswith("b") and cut(cell) == 0


def test_a_hostile_notebook_is_told_truly(
    build_notebook: Callable[..., Path], run: Callable[..., RunResult]
) -> None:
    deep = "value = {}\nfor _ in range(400):\n    value = {'a': value}\n"
    sources = (
        "print('x' * 300_000)",  # no blank and no end of a line in it
        "for number in range(11_000):\n    print(f'{number:0100}')",
        "from IPython.display import HTML, display\nfor _ in range(120):\n    display(HTML('<svg><path/></svg>'))",
        "display(HTML('<i>a</i>' * 1_000_000))",
        f"{deep}display({{'text/plain': 'deep'}}, metadata=value, raw=True)",
        "raise ValueError('why ' * 20_000)",
        "print('never')",
    )
    result = run(build_notebook(*sources))
    assert (result.status, len(result.line) < 700) == ("failed", True)
    folder = result.folder
    assert result.manifest.failure is not None and result.manifest.failure.message.endswith(
        "more characters)"
    )
    assert {cell.status for cell in result.manifest.cells[:7]} == {"completed"}
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("Of what this cell put out, ") == 4 and page.count("<path/>") == CELL_OUTPUTS
    assert "x" * 300_000 in page and f"{9_000:0100}" in page and f"{10_999:0100}" not in page
    assert sum(entry.bytes for entry in read_manifest(folder).files.values()) < 8_000_000
