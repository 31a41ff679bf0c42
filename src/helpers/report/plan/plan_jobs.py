"""The jobs of a plan: from what the file says to one checked run for each combination of parameters."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_origin

import yaml

from helpers.checks import did_you_mean
from helpers.data import address
from helpers.data.exports import folder
from helpers.errors import BadParameters, PlaybookError
from helpers.located_yaml import COMMAND_LINE, Entry, Item, Reader, Where, where
from helpers.report import params, project
from helpers.report.plan.desk import Checked, checked, label_slug, portable
from helpers.sentences import say
from helpers.study.parameters import CommonParameters

MOST_RUNS = 10_000
JOB_KEYS = ("notebook", "label", "data", "parameters", "matrix", "job_timeout", "after")
Model = type[CommonParameters]
_PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")
_PLAIN = {int: "a number", float: "a number", bool: "true or false", dict: "a mapping", list: "a list"}


@dataclass
class Shared:
    """What all jobs of a plan share, and what has been found out on the way.

    Attributes
    ----------
    parameters : dict
        Values for every notebook that has them.
    job_timeout : float, optional
        Seconds for each run.
    notebooks : Path, optional
        Folder of notebooks.
    used : set of str
        Names of shared parameters that reached a run.
    models : dict
        Model of each notebook of the plan.
    """

    parameters: dict[str, Item]
    job_timeout: float | None
    notebooks: Path | None
    used: set[str] = field(default_factory=set)
    models: dict[Path, Model] = field(default_factory=dict)
    defaults: dict[Path, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A job as the file has it, its parameters not yet checked."""

    where: Where
    notebooks: list[Path]
    label: Item | None
    parameters: dict[str, Item]
    keys: dict[str, Where]
    combinations: list[dict[str, Item]]
    timeout: float | None
    after: tuple[Item, ...] = ()


def parameters(reader: Reader, entries: Mapping[str, Entry]) -> dict[str, Item]:
    """Return ``parameters`` and ``data`` of the plan or of a job."""
    found: dict[str, Item] = {}
    if "parameters" in entries:
        found = reader.values(reader.mapping(entries["parameters"].node, None, "parameters"))
    if item := reader.get(entries, "data"):
        if "data" in found:
            reader.say(
                item.where, say("data is there twice, first in line {line}", line=found["data"].where.line)
            )
        found["data"] = item
    return found


def seconds(reader: Reader, entries: Mapping[str, Entry], name: str) -> float | None:
    """Return a time limit."""
    item = reader.get(entries, name)
    if item and (type(item.value) not in (int, float) or not 0 < item.value < 1e9):
        reader.say(
            item.where,
            say("{name} == {value!r}, must be a number of seconds > 0", name=name, value=item.value),
        )
    return item.value if item else None


def job(reader: Reader, node: yaml.Node, shared: Shared) -> Job:
    """Read one job; a plain text is the name of its notebook."""
    if isinstance(node, yaml.ScalarNode):
        return Job(where(node), _notebooks(reader, node, shared), None, {}, {}, [{}], None)
    entries = reader.mapping(node, JOB_KEYS, say("a job"))
    label = reader.get(entries, "label")
    if label and not isinstance(label.value, str):
        reader.say(
            label.where, say("label == {value!r}, must be a text: put it in quotes", value=label.value)
        )
        label = None
    if "notebook" in entries:
        notebooks = _notebooks(reader, entries["notebook"].node, shared)
    else:
        notebooks = []
        reader.say(where(node), say("the job names no notebook"))
    keys, combinations = _matrix(reader, entries["matrix"].node) if "matrix" in entries else ({}, [{}])
    own, limit = parameters(reader, entries), seconds(reader, entries, "job_timeout")
    after = _texts(reader, entries["after"].node, "after") if "after" in entries else []
    return Job(where(node), notebooks, label, own, keys, combinations, limit, tuple(after))


def _notebooks(reader: Reader, node: yaml.Node, shared: Shared) -> list[Path]:
    return found(reader, _texts(reader, node, "notebook"), shared)


def _texts(reader: Reader, node: yaml.Node, name: str) -> list[Item]:
    """Return one text, or a list of them."""
    nodes = [node] if isinstance(node, yaml.ScalarNode) else reader.items(node, name)
    items = [item for each in nodes if (item := reader.value(each, name))]
    return [Item(str(item.value), item.where) for item in items]


def found(reader: Reader, items: Sequence[Item], shared: Shared) -> list[Path]:
    """Return the paths of notebooks that are named; one that is not found is a mistake."""
    paths = []
    for item in items:
        try:
            path = project.find_notebook(str(item.value), shared.notebooks)
            if path not in shared.models:
                shared.defaults[path] = params.cell_defaults(path)
                shared.models[path] = params.model_for(path)
            paths.append(path)
        except PlaybookError as error:
            reader.say(item.where, str(error))
    return paths


def _matrix(reader: Reader, node: yaml.Node) -> tuple[dict[str, Where], list[dict[str, Item]]]:
    """Return the names of a matrix and its combinations: of lists every one, else those that are listed."""
    if isinstance(node, yaml.SequenceNode):
        keys: dict[str, Where] = {}
        combinations = []
        for line in reader.items(node, "matrix"):
            entries = reader.mapping(line, None, say("a line of the matrix"))
            keys = {name: entry.where for name, entry in entries.items()} | keys
            combinations.append(reader.values(entries))
        return keys, combinations
    entries = reader.mapping(node, None, "matrix")
    if isinstance(node, yaml.MappingNode) and not node.value:
        reader.say(where(node), say("matrix is empty, which makes no run"))
    lists = []
    for name, entry in entries.items():
        nodes = reader.items(entry.node, f"matrix {name}")
        lists.append([(name, item) for each in nodes if (item := reader.value(each, name))])
    keys = {name: entry.where for name, entry in entries.items()}
    if (count := math.prod(map(len, lists))) > MOST_RUNS:
        reader.say(
            where(node),
            say(
                "the matrix makes {count:,} runs, must be <= {most_runs:,}", count=count, most_runs=MOST_RUNS
            ),
        )
        return keys, []
    return keys, [dict(row) for row in product(*lists)]


class Run(NamedTuple):
    """A run of the plan, where it stands and where its segment does; `checked` is None where it has mistakes.

    `names` are method and notebook, by which another job may say that it comes after it; `after` what its own says.
    """

    series: str
    where: Where
    segment: Where
    checked: Checked | None
    names: tuple[str, ...] = ()
    after: tuple[Item, ...] = ()


class Expansion:
    """Makes the runs of one job; every mistake goes to the reader.

    Parameters
    ----------
    reader : Reader
        Of the plan.
    job : Job
        The job.
    shared : Shared
        What the jobs share.
    """

    def __init__(self, reader: Reader, job: Job, shared: Shared) -> None:
        self.reader, self.job, self.shared = reader, job, shared
        self._put: set[str] = set()

    def runs(self) -> Iterator[Run]:
        """Yield each run; one with mistakes is known by its series alone."""
        for notebook in self.job.notebooks:
            for combination in self.job.combinations:
                if run := self._run(notebook, combination):
                    yield run
        self._check_matrix()

    def _run(self, notebook: Path, combination: dict[str, Item]) -> Run | None:
        model = self.shared.models[notebook]
        before = len(self.reader.mistakes)
        words = {name: item.value for name, item in combination.items()}
        given = {name: self._filled(item, words) for name, item in self._given(model, combination).items()}
        values = {name: item.value for name, item in given.items() if self._typed(model, name, item)}
        values = self._located(notebook, given, values)
        effective = self.shared.defaults[notebook] | values
        record, problems = params.check(notebook, effective)
        for problem in problems:
            self.reader.say(self._place(problem.name, given), problem.text)
        self._data(notebook, effective.get("data"), self._place("data", given))
        label = self._label({n: f.default for n, f in model.model_fields.items()} | effective, words)
        if label is None:
            return None
        series = f"{project.method_name(notebook)}/{label}"
        limit = self.job.timeout or self.shared.job_timeout
        usable = record if len(self.reader.mistakes) == before else None
        run = checked(notebook, usable, values, label, limit) if usable else None
        names = (project.method_name(notebook), notebook.stem, series)  # said without its language too
        return Run(
            run.series if run else series,
            self.job.where,
            self._place("segment", given),
            run,
            names,
            self.job.after,
        )

    def _given(self, model: Model, combination: dict[str, Item]) -> dict[str, Item]:
        """Return the parameters of a run: what is shared, then what the job says, then the matrix."""
        own = self.job.parameters | {
            name: item for name, item in combination.items() if name in model.model_fields
        }
        shared = {
            name: item
            for name, item in self.shared.parameters.items()
            if name in model.model_fields and name not in own
        }
        self.shared.used |= set(shared)
        return shared | own

    def _filled(self, item: Item, words: Mapping[str, Any]) -> Item:
        """Put the words of the matrix into a text; a text that is one placeholder takes the word's type."""
        if not isinstance(item.value, str) or item.where == COMMAND_LINE:
            return item
        whole = _PLACEHOLDER.fullmatch(item.value)
        if whole and whole[1] in words:
            self._put.add(whole[1])
            return Item(words[whole[1]], item.where)
        return Item(
            _PLACEHOLDER.sub(lambda match: self._word(match, words, item.where), item.value), item.where
        )

    def _word(self, match: re.Match[str], words: Mapping[str, Any], place: Where) -> str:
        name = match[1]
        if name not in words:
            return match[0]
        self._put.add(name)
        value = words[name]
        if isinstance(value, bool) or not isinstance(value, (str, int, float, datetime.date)):
            text = "{{{name}}} == {value!r}, cannot be put into a text: put a word or a number there"
            self.reader.say(place, say(text, name=name, value=value))
            return name
        return str(value)

    def _typed(self, model: Model, name: str, item: Item) -> bool:
        """Whether a value of the file is no text where another type is asked for."""
        field = model.model_fields.get(name)
        if field is None or item.where == COMMAND_LINE or not isinstance(item.value, str):
            return True
        wanted = _PLAIN.get(get_origin(field.annotation) or field.annotation)  # type: ignore[arg-type]
        if wanted:
            text = "{name} == {value!r} is a text, must be {wanted}: write it without quotes"
            self.reader.say(item.where, say(text, name=name, value=item.value, wanted=say(wanted)))
        return wanted is None

    def _place(self, name: str, given: Mapping[str, Item]) -> Where:
        return given[name].where if name in given else self.job.where

    def _located(self, notebook: Path, given: Mapping[str, Item], values: dict[str, Any]) -> dict[str, Any]:
        """Let ``data`` be relative to the project; on the command line it was typed in the working folder."""
        if not isinstance(values.get("data"), str):
            return values
        if given["data"].where == COMMAND_LINE:
            return portable(notebook, values)
        root = project.find_root(notebook.parent)
        return values | {"data": project.portable_data(values["data"], root, start=root)}

    def _label(self, effective: Mapping[str, Any], words: Mapping[str, Any]) -> str | None:
        """Return the label: as given, or made of the matrix, or of the segment; None after a mistake."""
        place, text, known = self.job.where, "{segment}", {**effective, **words}
        if self.job.label is not None:
            place, text = self.job.label.where, self.job.label.value
        elif words:
            text = "-".join(f"{{{name}}}" for name in words)
        unknown = [name for name in _PLACEHOLDER.findall(text) if name not in known]
        for name in unknown:
            text = "label names {{{name}}}, which is neither a parameter nor in the matrix.{hint}"
            self.reader.say(place, say(text, name=name, hint=did_you_mean(name, known)))
        if unknown:
            return None
        try:
            return label_slug(_PLACEHOLDER.sub(lambda m: self._word(m, known, place) or "all", text))
        except BadParameters as error:
            self.reader.say(place, str(error))
            return None

    def _data(self, notebook: Path, data: Any, place: Where) -> None:
        """Look at the place of the data, each once: is it there, does it hold tables, are its secrets set?"""
        if isinstance(data, str) and data:
            found = project.locate_data(data, notebook.parent)
            if found not in self.shared.places:
                self.shared.places[found] = _data_problem(found, project.find_root(notebook.parent))
            if problem := self.shared.places[found]:
                self.reader.say(place, problem)

    def _check_matrix(self) -> None:
        """Tell of names in the matrix that are no parameter and are put nowhere; without a run nothing is put."""
        if not self.job.combinations:
            return
        for notebook in self.job.notebooks:
            model = self.shared.models[notebook]
            for name, place in self.job.keys.items():
                if name not in model.model_fields and name not in self._put:
                    hint = did_you_mean(name, model.model_fields)
                    text = '"{name}" is no parameter of {notebook}, and no text of the job holds {{{name}}}.{hint}'
                    self.reader.say(place, say(text, name=name, notebook=notebook.stem, hint=hint))


def _data_problem(place: str, root: Path | None) -> str:
    """Return what is wrong with a place of data as far as it can be seen without an engine."""
    try:
        found = address.parse(place)
        if found.kind == "folder":
            there = folder.look(found)
            if not (there.layout.files or there.layout.unread or there.parts):
                return say("{place} has no table of the contract", place=place)
    except PlaybookError as error:
        above = ((root or Path()) / place.partition("?")[0]).parent
        names = [path.name for path in above.iterdir() if path.is_dir()] if above.is_dir() else []
        hint = did_you_mean(Path(place).name, names) if error.kind == "bad_data" else ""
        return f"{error}{hint}"
    return ""
