"""Numbers to see first: chosen among levels as numbers, written as text at the very end."""

from dataclasses import dataclass

from nnunetv2_pcrl.monitoring.charts import PROBE, Logged, finished, last_finite
from nnunetv2_pcrl.monitoring.vocabulary import Card, Shown

CHOOSE = {"max": max, "min": min}
PROBE_CARD = Card(
    "probe (Dice-like)",
    (PROBE,),
    form=".3f",
    text="A linear classifier of voxels on the frozen features; higher is better.",
)


@dataclass(frozen=True)
class Number:
    """A card with its value.

    Attributes:
        card: what it is.
        value: of the last epoch that has one.
    """

    card: Card
    value: float

    @property
    def text(self) -> str:
        """The number for a person."""
        return format(self.value, self.card.form)


def number_of(card: Card, logged: Logged) -> Number | None:
    """The last value of a card, of the levels that have one; None if none has."""
    lasts = [last_finite(finished(logged, name)) for name in card.names]
    found = [value for value in lasts if value is not None]
    return Number(card, CHOOSE[card.choose](found)) if found else None


def numbers_of(shown: Shown, logged: Logged) -> list[Number]:
    """Cards of a run and the probe, those that have a value."""
    found = (number_of(card, logged) for card in (*shown.cards, PROBE_CARD))
    return [number for number in found if number is not None]
