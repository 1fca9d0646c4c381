"""One sentence on a run: healthy, or what is wrong and what to do."""

from nnunetv2_pcrl.monitoring.runs import RecordedRun


def verdict(run: RecordedRun) -> str:
    """The sentence; what needs attention is what the checks of the last epoch said."""
    epochs, warnings = run.epochs_done, run.record["warnings"]
    if not epochs:
        return "No epoch is finished yet."
    if not warnings:
        length = "1 epoch" if epochs == 1 else f"{epochs} epochs"
        return f"Healthy: no check found anything wrong after {length}."
    if len(warnings) == 1:
        ((kind, text),) = warnings.items()
        return f"Needs attention ({kind}): {text}"
    return f"Needs attention: {', '.join(warnings)}. What to do is said below for each."
