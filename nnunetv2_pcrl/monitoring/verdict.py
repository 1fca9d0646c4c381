"""One sentence on a run: healthy, or what is wrong and what to do."""

from nnunetv2_pcrl.monitoring.checks import FIRST_EPOCH_OF_COMPARISON
from nnunetv2_pcrl.monitoring.runs import RecordedRun


def verdict(run: RecordedRun) -> str:
    """The sentence; what needs attention is what the checks of the last epoch said."""
    epochs, warnings = run.epochs_done, run.record["warnings"]
    if not epochs:
        return "No epoch is finished yet."
    if not warnings and epochs < FIRST_EPOCH_OF_COMPARISON:
        return (
            f"No check found anything wrong so far; some judge after {FIRST_EPOCH_OF_COMPARISON} "
            f"epochs only."
        )
    if not warnings:
        return f"Healthy: no check found anything wrong after {epochs} epochs."
    if len(warnings) == 1:
        ((kind, text),) = warnings.items()
        return f"Needs attention ({kind}): {text}"
    return f"Needs attention: {', '.join(warnings)}. What to do is said below for each."
