"""What a paper shows of its models, as data: which trainings are behind each of its tables and figures.

A paper is one file in ``train/comparison/papers``, found by its name, and beside it the paper's own figures
(:mod:`train.comparison.stated`). It says with the few words of this module what the rows of each table are;
how a kind of table is made of finished runs is in ``train/comparison/tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import train.comparison.papers
from extract.errors import UsageError, unknown
from extract.plugins import Plugins
from extract.presets import merged
from train.registry import model_names
from train.settings import load_preset, parse_assignments

if TYPE_CHECKING:
    from train.labels.splits import Part

DEFAULT_PAPER = "own"
PAPERS = Plugins(train.comparison.papers, "paper")


@dataclass(frozen=True)
class Cell:
    """One training of a grid.

    Attributes:
        steps: at most so many of each expert, evenly spaced; None: as set.
        preset: what its options are taken from; None: that of the whole grid.
        changes: options as ``--set`` has them, over the preset and what the user sets: they are the cell.
        fine: the fine-grained stage on top of the same training.
    """

    experts: tuple[str, ...]
    model: str
    seed: int
    steps: int | None = None
    preset: str | None = None
    changes: tuple[str, ...] = ()
    fine: bool = False

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """By section or expert: what makes this cell differ from the others."""
        options: dict[str, dict[str, Any]] = {"training": {"seed": self.seed}}
        if self.steps is not None:
            options |= {name: {"cap": self.steps, "how": "equidistant"} for name in self.experts}
        return merged([options, parse_assignments(self.changes)])

    @property
    def coarse(self) -> Cell:
        """The training that the fine-grained stage begins with."""
        return replace(self, fine=False)

    @property
    def label(self) -> str:
        what = self.model if self.preset is None else self.preset.rpartition("/")[2]
        changes = "".join(f"-{change.partition('.')[2]}" for change in self.changes)
        steps = "" if self.steps is None else f"-{self.steps}-steps"
        fine = "-fine" if self.fine else ""
        return f"{what}{changes}{fine}-{'+'.join(self.experts)}{steps}-seed-{self.seed}"

    @property
    def key(self) -> dict[str, Any]:
        """All that sets it apart; what is as usual is left out, so that new fields leave old names alone."""
        unusual = {"preset", "changes", "fine"}
        return {name: value for name, value in asdict(self).items() if value or name not in unusual}


@dataclass(frozen=True)
class TrainingRecipe:
    """How a row is trained: by a model, or a preset that names it, with changes; see :class:`Cell`."""

    model: str | None = None
    preset: str | None = None
    changes: tuple[str, ...] = ()
    fine: bool = False

    def cell(self, offer: Offer, experts: tuple[str, ...], *, steps: int | None = None) -> Cell:
        """Of some experts, with seed 0. Without model and preset the model is the first one of the grid."""
        named = load_preset(self.preset).model if self.preset else offer.models[0]
        return Cell(experts, self.model or named, 0, steps, self.preset, self.changes, self.fine)


USUAL = TrainingRecipe()


@dataclass(frozen=True)
class Offer:
    """What there is to compare.

    Attributes:
        experts: tables of the store, in their order; "all" means these.
        models: of the grid, for rows that name none.
        steps: numbers of steps, for rows that go through them.
        missing: experts of the paper that the store does not have.
        baselines: further tables of the store, which only rows that name them read.
    """

    experts: tuple[str, ...]
    models: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()

    def lacks(self, cell: Cell) -> str:
        """Why a cell cannot be trained; empty if it can."""
        absent = [name for name in cell.experts if name not in (*self.experts, *self.baselines)]
        if absent:
            return f"no {', '.join(absent)} among the experts"
        return "" if cell.model in model_names() else f"there is no model {cell.model}"


@dataclass(frozen=True)
class PaperRow:
    """A row's name, and the training behind it, whose seed stands for all.

    ``column``: where a table has a training for each row and column.
    """

    name: str
    cell: Cell
    column: str = ""


PaperRows = Callable[[Offer], Iterable[PaperRow]]


def alone(recipe: TrainingRecipe = USUAL) -> PaperRows:
    """Each expert by itself."""
    return lambda offer: [
        PaperRow(name, recipe.cell(offer, (name,))) for name in (*offer.experts, *offer.missing)
    ]


def alone_by_steps(recipe: TrainingRecipe = USUAL) -> PaperRows:
    """Each expert by itself, with each number of steps."""
    return lambda offer: [
        PaperRow(name, recipe.cell(offer, (name,), steps=steps))
        for name in offer.experts
        for steps in offer.steps
    ]


def everything(name: str, recipe: TrainingRecipe = USUAL) -> PaperRows:
    """All experts that the store has."""
    return lambda offer: [PaperRow(name, recipe.cell(offer, offer.experts))]


def each_model(recipe: TrainingRecipe = USUAL) -> PaperRows:
    """Every model of the grid on all experts."""
    return lambda offer: [
        PaperRow(model, replace(recipe, model=model).cell(offer, offer.experts)) for model in offer.models
    ]


def without_one(recipe: TrainingRecipe = USUAL) -> PaperRows:
    """All experts but one, in the order of that one."""

    def rows(offer: Offer) -> list[PaperRow]:
        if len(offer.experts) < 2:
            raise UsageError("an ablation leaves one expert out; give at least two experts, or other tables")
        rest = {left: tuple(name for name in offer.experts if name != left) for left in offer.experts}
        return [PaperRow(f"without {left}", recipe.cell(offer, experts)) for left, experts in rest.items()]

    return rows


def named(
    name: str, recipe: TrainingRecipe, *experts: str, steps: int | None = None, column: str = ""
) -> PaperRows:
    """These experts."""
    return lambda offer: [PaperRow(name, recipe.cell(offer, experts, steps=steps), column)]


@dataclass(frozen=True)
class PaperTable:
    """A table or a figure of a paper.

    Attributes:
        option: its name on the command line.
        number: the paper's, as in "Table 2"; the name of its files, and of that of the paper's own figures.
        title: what it shows; ``{model}`` is the first model of the grid, ``{experts}`` are all experts.
        key: what the rows are.
        rows: from what there is to the rows; none: it is of the data, not of trainings.
        kind: a module of ``train/comparison/tables``, which makes it of finished runs.
        terms: its columns, where they are not the paper's.
        figure: of ours, where it shows one; empty: the paper's headline.
        label: what that, or what the table says of a video, is called in it.
        more: columns beside the figures: those of :mod:`train.comparison.tables.columns`.
        part: the videos that are measured.
        random: the classifier that sees nothing: with even ``scores``, or one that gives ``every`` genre.
        videos: of those that are shown one by one.
        remark: what must be known of the paper's own figures.
    """

    option: str
    number: str
    title: str
    key: str
    rows: tuple[PaperRows, ...] = ()
    kind: str = "overall"
    terms: Mapping[str, str] = field(default_factory=dict, hash=False)
    figure: str = ""
    label: str = ""
    more: tuple[str, ...] = ()
    part: Part = "test"
    random: Literal["scores", "every"] = "scores"
    videos: int = 8
    remark: str = ""

    @property
    def name(self) -> str:
        """Of its files."""
        return self.number.lower().replace(" ", "")


@dataclass(frozen=True)
class Paper:
    """What a paper calls our figures, and what it shows.

    Attributes:
        title: its authors and year.
        terms: its name of a figure -> ours; the columns of its tables.
        headline: the figure of ours that its pictures show.
        tables: its tables and figures.
        threshold: from which score on a genre is decided, where the figures depend on it.
        experts: those that it reads; none: those of the preset, or all of the store.
        baselines: further ones that only some rows read.
        models: those that rows without one go through; none: every row names its own.
        preset: whose labels and split all rows have, so that they are measured on the same videos.
    """

    title: str
    terms: Mapping[str, str]
    headline: str
    tables: tuple[PaperTable, ...]
    threshold: float | None = None
    experts: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    preset: str | None = None

    @property
    def shared(self) -> dict[str, dict[str, Any]]:
        """Options of the labels and the split, of every row."""
        options = load_preset(self.preset).options if self.preset else {}
        return {name: dict(options[name]) for name in ("labels", "split") if name in options}

    def columns(self, paper_table: PaperTable) -> Mapping[str, str]:
        """Of a table: its name of a figure -> ours."""
        return paper_table.terms or self.terms

    def term(self, figure: str) -> str:
        """What the paper calls a figure of ours."""
        return next((term for term, ours in self.terms.items() if ours == figure), figure)

    def chosen(self, names: tuple[str, ...]) -> tuple[PaperTable, ...]:
        """Those of these names, which are options or names of files; of none all. Raises UsageError."""
        if not names:
            return self.tables
        known = {key: one for one in self.tables for key in (one.option, one.name)}
        for name in names:
            if name not in known:
                raise unknown("no table", name, (one.option for one in self.tables))
        return tuple(dict.fromkeys(known[name] for name in names))


def paper_names() -> list[str]:
    """Names of all papers, sorted; imports none."""
    return PAPERS.names()


def load_paper(name: str) -> Paper:
    """What a paper's file says. Raises UsageError for an unknown name."""
    found: Paper = PAPERS.attribute(name, "PAPER")
    return found
