"""Cells of the tables that a person reads."""

import math

from nnunetv2_pcrl.evaluation.comparison import Row
from nnunetv2_pcrl.evaluation.metric import Metric


def runs_text(row: Row) -> str:
    """Finished runs, and how many were planned where some are missing."""
    done = row.spread.num_runs
    return str(done) if done == row.planned_runs else f"{done} of {row.planned_runs} runs"


def with_spread(row: Row) -> str:
    """Mean of a row, with the spread over its runs."""
    if not row.spread.num_runs:
        return "missing"
    mean, std = (number_text(v, row.metric) for v in (row.spread.mean, row.spread.run_std))
    return f"{mean} +- {std}" if std else mean


def with_interval(value: float, interval: tuple[float, float], metric: Metric) -> str:
    """A difference and its interval, where there is one."""
    low, high = interval
    digits = metric.digits
    if math.isnan(low):
        return f"{value:+.{digits}f}"
    return f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def efficiency_text(row: Row) -> str:
    """Label efficiency of a row, with its interval where there is one."""
    if row.efficiency_interval is None:
        return str(row.efficiency)
    low, high = row.efficiency_interval
    return f"{row.efficiency} [{low}, {high}]"


def number_text(value: float, metric: Metric) -> str:
    """A value with the decimals of its metric; empty if there is none."""
    return "" if math.isnan(value) else f"{value:.{metric.digits}f}"


def p_text(value: float | None) -> str:
    """A p-value; empty if there is none."""
    if value is None or math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
