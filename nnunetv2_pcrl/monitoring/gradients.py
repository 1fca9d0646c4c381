"""What each term of a loss pulls at the backbone, as a run shows it, and whether one side is lost.

Losses of different size may pull alike, and the other way round: only gradients tell.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nnunetv2_pcrl.monitoring.charts import Logged, last_finite
from nnunetv2_pcrl.monitoring.vocabulary import Chart, Line, Series, Shown

# Of the sum over all terms: below it, a side hardly changes what is learned.
LEAST_SHARE = 0.05


def gradient_name(term: str) -> str:
    """Name of a term's gradient norm, without its phase."""
    return f"gradient_{term}"


def with_gradients(shown: Shown) -> Shown:
    """What a method shows, and the gradient norms of its terms if there are several."""
    terms = shown.terms
    if len(terms) < 2:
        return shown
    chart = Chart(
        "gradient of each term on the backbone",
        tuple(
            Line(f"val_{gradient_name(term)}", term.replace("_", " "), number)
            for number, term in enumerate(terms)
        ),
        from_zero=True,
        text="Norm of each term's gradient, times its weight. A term whose gradient is a small "
        "part of the sum hardly changes what is learned.",
        axis="gradient norm",
    )
    series = (Series(gradient_name(term), ("val",)) for term in terms)
    return replace(shown, series=(*shown.series, *series), charts=(*shown.charts, chart))


def lost_sides(logged: Logged, sides: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """A kind of terms with hardly any part of the gradient.

    Args:
        logged: lists with one value per epoch, by name.
        sides: names of terms by what they teach; one without any measured gradient is not in the
            loss, and that is no accident.

    Returns:
        Texts with a remedy, by kind of warning; empty if all is well.
    """
    norms = {
        side: sum(
            last_finite(logged.get(f"val_{gradient_name(term)}", [])) or 0.0 for term in terms
        )
        for side, terms in sides.items()
    }
    total = sum(norms.values())
    if not total > 0 or not math.isfinite(total):
        return {}
    return {
        f"{side} lost": f"{side} have {100 * norm / total:.1f} % of the gradient on the backbone, "
        f"and hardly change what is learned. Raise their weight in the plans, or lower that of "
        f"the others."
        for side, norm in norms.items()
        if 0 < norm < LEAST_SHARE * total
    }
