"""Which cases a subset holds, without any file."""

import collections

import pytest

from nnunetv2_pcrl.label_folds.subsets import (
    counts_of_fractions,
    draw_order,
    order_through,
)


def test_a_fraction_is_the_nearest_number_of_cases_and_at_least_one():
    assert counts_of_fractions([1.0, 0.05, 0.001], 208, 0) == (1, 10, 208)
    # 0.29 * 50 = 14.499999999999998 in floats; halves go up, also to odd numbers.
    assert counts_of_fractions([0.29, 0.05], 50, 0) == (3, 15)


def test_fractions_of_the_same_number_of_cases_are_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"0\.05 and 0\.1 of the 8 training cases of fold 3 .* 1 "):
        counts_of_fractions([0.1, 0.05], 8, 3)


def test_a_label_in_two_of_forty_cases_is_in_the_first_case_of_every_order():
    labels = {f"case{i:02d}": {"organ"} for i in range(40)}
    labels["case07"] = labels["case31"] = {"organ", "tumour"}
    orders = [draw_order(labels, 0, 0, repeat) for repeat in range(30)]
    assert {order[0] for order, _ in orders} == {"case07", "case31"}
    assert {num_cover for _, num_cover in orders} == {1}
    assert all(sorted(order) == sorted(labels) for order, _ in orders)


def test_cases_without_labels_are_drawn_too():
    assert draw_order({"x": set(), "y": set()}, 0, 0, 0)[1] == 0
    order, num_cover = draw_order({"none": set(), "all": {"a"}}, 0, 0, 0)
    assert (order, num_cover) == (["all", "none"], 1)


def test_where_few_cases_cannot_hold_all_labels_the_first_holds_most():
    labels = {"one": {"a"}, "two": {"b", "c"}, "three": {"d", "e", "f"}}
    for repeat in range(5):
        assert draw_order(labels, 0, 0, repeat) == (["three", "two", "one"], 3)


def test_cases_that_hold_all_labels_are_drawn_first_equally_often():
    labels = {name: {"a"} for name in "abcd"}
    first = collections.Counter(draw_order(labels, 0, 0, repeat)[0][0] for repeat in range(400))
    # Binomial with mean 100 and standard deviation 8.7.
    assert all(65 < first[name] < 135 for name in "abcd")


def test_seed_fold_and_repeat_alone_decide_the_order():
    labels = {str(i): {"a"} for i in range(20)}
    order = draw_order(labels, 1, 2, 3)
    assert draw_order(dict(reversed(labels.items())), 1, 2, 3) == order
    others = [draw_order(labels, *numbers) for numbers in ((0, 2, 3), (1, 0, 3), (1, 2, 0))]
    assert all(other != order for other in others)


def test_an_order_is_changed_as_little_as_makes_earlier_subsets_prefixes():
    order = order_through([["e", "b"], ["b", "e", "c"]], ["a", "b", "c", "d", "e"])
    assert order == ["b", "e", "c", "a", "d"]
