"""What a training shows that compares views: how well its embeddings tell images, or crops, apart.

How that is measured stands in `representation.py`; here are its series, charts, cards and checks.
"""

from dataclasses import dataclass

from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.charts import Logged
from nnunetv2_pcrl.monitoring.vocabulary import (
    Card,
    Chart,
    Line,
    Series,
    of_every_level,
    of_level,
)

MATCHING, OTHER, RANK, SPREAD = (
    "cosine_matching",
    "cosine_other",
    "effective_rank",
    "feature_spread",
)


@dataclass(frozen=True)
class Words:
    """How what is told apart is called.

    Attributes:
        finders: those that look for their own, with what they find.
        found: what the share of those that find it is of, a sentence.
        pair: whose cosine it is.
        matching, other: pairs that belong together, and others.
        things: what is told apart.
        thing: one of them.
    """

    finders: str = "views that find their image"
    found: str = "Share of second views whose most similar first view is that of their image."
    pair: str = "two views"
    matching: str = "one image"
    other: str = "different images"
    things: str = "images"
    thing: str = "an image"


@dataclass(frozen=True)
class TellingApart:
    """The state of a comparison, by its numbers in the validation.

    Attributes:
        num_levels: whose pooled features are compared.
        candidates: among which everyone is to find its own.
        by_level: whether every level has embeddings of its own, or all have one together.
        words: how what is told apart is called.
        share: name of the share of those that find their own.
        spread_phases: of the epoch, in which the feature spread is measured.
    """

    num_levels: int
    candidates: int
    by_level: bool = False
    words: Words = Words()
    share: str = "retrieval"
    spread_phases: tuple[str, ...] = ("val",)

    def logged_as(self, name: str) -> tuple[str, ...]:
        """What a number of the embeddings is called in the log, of every level if it has some."""
        if not self.by_level:
            return (f"val_{name}",)
        return tuple(of_level(f"val_{name}", level) for level in range(self.num_levels))

    @property
    def spreads(self) -> tuple[str, ...]:
        """What the feature spread of every level is called in the log."""
        return tuple(of_level(f"val_{SPREAD}", level) for level in range(self.num_levels))

    @property
    def series(self) -> tuple[Series, ...]:
        """All that is logged of it."""
        embeddings = (MATCHING, OTHER, self.share, RANK)
        names = [log_name for name in embeddings for log_name in self.logged_as(name)]
        levels = range(self.num_levels)
        return (
            *(Series(name.removeprefix("val_"), ("val",)) for name in names),
            *(Series(of_level(SPREAD, level), self.spread_phases) for level in levels),
        )

    def _lines(self, name: str, label: str, number: int = 0) -> tuple[Line, ...]:
        """One line, or one for each level; of the levels the second ones are dashed."""
        if not self.by_level:
            return (Line(f"val_{name}", label, number),)
        style, words = ("dashed", f", {label}") if number else ("solid", "")
        return of_every_level(f"val_{name}", self.num_levels, style, words)

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Found ones, cosines, directions and spread."""
        words, levels = self.words, self.by_level
        by_chance = Line("", "chance", -1, "dotted", constant=1 / self.candidates)
        solid, dashed = (" (solid)", " (dashed)") if levels else ("", "")
        return (
            Chart(
                words.finders,
                (*self._lines(self.share, "validation"), by_chance),
                from_zero=True,
                levels=levels,
                text=words.found,
                axis="share",
            ),
            Chart(
                f"cosine of {words.pair}",
                (
                    *self._lines(MATCHING, words.matching),
                    *self._lines(OTHER, words.other, 1),
                ),
                levels=levels,
                text=f"Similarity of {words.pair}: {words.matching}{solid} or {words.other}"
                f"{dashed}. The gap is what tells {words.things} apart.",
                axis="cosine",
                compared=f"cosine of {words.pair}: {words.matching}, mean of the levels"
                if levels
                else "",
            ),
            Chart(
                "effective rank of embeddings",
                self._lines(RANK, "validation"),
                from_zero=True,
                levels=levels,
                text=f"How many directions the embeddings use; 1 or 2 tell hardly anything of "
                f"{words.thing}.",
                axis="directions",
            ),
            Chart(
                "feature spread (0: collapse)",
                of_every_level(f"val_{SPREAD}", self.num_levels),
                from_zero=True,
                levels=True,
                text=self._spread_text,
                axis="spread",
            ),
        )

    @property
    def cards(self) -> tuple[Card, ...]:
        """Found ones and spread."""
        best, at_best = (", best level", " at best") if self.by_level else ("", "")
        several = self.num_levels > 1
        return (
            Card(
                f"{self.words.finders}{best}",
                self.logged_as(self.share),
                form=".0%",
                text=self.words.found,
                short=f"{self.share}{at_best}",
            ),
            Card(
                "lowest feature spread of the levels" if several else "feature spread",
                self.spreads,
                "min",
                text=self._spread_text,
                short="feature spread at least" if several else "feature spread",
            ),
        )

    @property
    def _spread_text(self) -> str:
        return f"How much features differ between {self.words.things}, relative to their size."

    def warnings(self, logged: Logged, remedy: str) -> checks.Found:
        """A collapse, or views that find their own no more often than by chance."""
        return {
            **checks.collapse(logged, self.spreads, remedy),
            **checks.comparison_at_chance(
                logged, self.logged_as(self.share), self.candidates, remedy
            ),
        }
