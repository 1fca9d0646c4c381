"""Steps in a row that could update nothing: when a training has to end."""

from dataclasses import dataclass

MOST_IN_A_ROW = 10
# A scaler halves the scale of the loss after each of them, and the first ones are usual.
MOST_IN_A_ROW_SCALED = 50


@dataclass
class BrokenSteps:
    """Counts steps in a row whose loss or gradient was not finite.

    Attributes:
        number: of them.
    """

    number: int = 0

    def count(self, what: str, is_scaled: bool) -> None:
        """Counts a step that updated nothing.

        Args:
            what: was not finite, loss or gradient.
            is_scaled: whether a gradient scaler looks after it.

        Raises:
            RuntimeError: if there are too many in a row, with the remedy.
        """
        self.number += 1
        most = MOST_IN_A_ROW_SCALED if is_scaled else MOST_IN_A_ROW
        if self.number >= most:
            raise RuntimeError(
                f'{most} steps in a row had a {what} that is not finite. Lower "initial_lr" in the '
                f"plans, or go back to the last checkpoint with --c."
            )

    def end_row(self) -> None:
        """A step has updated the network."""
        self.number = 0
