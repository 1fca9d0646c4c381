import pytest
from matplotlib.collections import LineCollection

from nnunetv2_pcrl.evaluation import over_labels
from nnunetv2_pcrl.evaluation.amounts import amounts_of
from nnunetv2_pcrl.evaluation.comparison import Comparison, compare
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric
from nnunetv2_pcrl.evaluation.over_labels import draw_over_labels
from nnunetv2_pcrl.label_folds.table import LabelFold
from nnunetv2_pcrl.monitoring.looks import looks_of

# Three repeats with 5 labelled cases, two with 20.
FOLDS = [LabelFold(5 + n, 0, (5, 20)[n // 3], 0.1, n % 3) for n in range(5)]
COMPARISON = Comparison("D", "P", "2d", ("Twin", "Own"), "Twin", amounts_of(FOLDS))
GAINS = (0.01, 0.02, 0.06, 0.01, 0.02)
DICE = Metric("Dice", True)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Rows of the comparison and the figure of them."""
    figures = []
    monkeypatch.setattr(over_labels, "save", lambda figure, *_: figures.append(figure) or [])
    scores = {}
    for fold, gain in zip(FOLDS, GAINS, strict=True):
        for trainer, value in (("Twin", 0.5), ("Own", 0.5 + gain)):
            (run,) = COMPARISON.runs_of(trainer, fold.fold).values()
            cases = {"a": value, "b": value + 0.01}
            scores[run] = {DICE: {"organ": cases, MEAN: cases}}
    rows = compare(COMPARISON, scores)
    looks = looks_of({"Twin": "Twin", "Own": "Own"}, "Twin")
    draw_over_labels(COMPARISON, rows, scores, looks, tmp_path)
    return rows, figures[0]


def test_both_intervals_of_a_difference_are_drawn_the_one_over_runs_broad(drawn):
    rows, figure = drawn
    found = [row.difference for row in rows if row.label == MEAN and row.difference]
    lines = [c for c in figure.axes[1].collections if isinstance(c, LineCollection)]
    broad = [line for line in lines if line.get_linewidth()[0] > 4]
    ends = [tuple(segment[:, 1]) for line in broad for segment in line.get_segments()]
    assert ends == [pytest.approx(difference.run_interval) for difference in found]
    thin = [s[:, 1] for line in lines if line not in broad for s in line.get_segments()]
    assert [tuple(ends) for ends in thin] == [
        pytest.approx(difference.case_interval) for difference in found
    ]
    assert "over runs (broad)" in figure.axes[1].get_title(loc="left")


def test_the_interval_of_two_runs_does_not_squeeze_everything_else(drawn):
    rows, figure = drawn
    three, two = (row.difference for row in rows if row.label == MEAN and row.difference)
    low, high = figure.axes[1].get_ylim()
    assert low < three.run_interval[0] and high > three.run_interval[1]
    assert (two.num_runs, three.num_runs) == (2, 3)
    assert two.run_interval[1] - two.run_interval[0] > 0.1
    assert high - low < 1.2 * (three.run_interval[1] - three.run_interval[0])
