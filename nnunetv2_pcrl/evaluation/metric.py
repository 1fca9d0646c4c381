"""What was measured: its name, its unit and which way is better."""

from collections.abc import Mapping
from dataclasses import dataclass

# Name of the mean over the labels, beside the names of the labels.
MEAN = "mean"
# In the place of a case, for what exists only for all cases of a run together.
ALL_CASES = "(all)"


@dataclass(frozen=True)
class Metric:
    """One kind of number.

    Attributes:
        name: as in tables and on axes, e.g. Dice.
        is_more_better: whether a higher value is better.
        unit: e.g. mm; empty if it has none.
        definition: what exactly was computed, in a few words, for a note below a table.
    """

    name: str
    is_more_better: bool
    unit: str = ""
    definition: str = ""

    @property
    def key(self) -> str:
        """In names of files and columns, e.g. hd95_mm."""
        return "_".join(filter(None, (self.name.lower().replace(" ", "_"), self.unit)))

    @property
    def title(self) -> str:
        """With its unit, e.g. HD95 (mm)."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def better(self) -> str:
        """The word for a better value."""
        return "higher" if self.is_more_better else "lower"

    @property
    def digits(self) -> int:
        """Decimals that are shown."""
        return 2 if self.unit else 3


# Of one run: metric to label name (or MEAN) to case (or ALL_CASES) to value. The first metric is
# the one that figures show and that is tested.
ScoresOfRun = Mapping[Metric, Mapping[str, Mapping[str, float]]]
