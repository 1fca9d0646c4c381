from nnunetv2_pcrl.experiments.progress import Progress, seconds_left


def test_every_training_is_expected_to_last_as_long_as_those_of_its_trainer():
    durations = {"A": [10.0, 20.0], "B": [60.0]}
    assert seconds_left(durations, ["A", "A", "B"], [], 1) == 15 + 15 + 60
    # A was running for 5 of 15 seconds, B for longer than expected.
    assert seconds_left(durations, ["A"], [("A", 5.0), ("B", 70.0)], 1) == 15 + 10
    # The mean of 10, 20 and 60.
    assert seconds_left(durations, ["new"], [], 1) == 30


def test_several_at_a_time_share_the_rest_but_not_one_training():
    assert seconds_left({"A": [10.0]}, ["A"] * 6, [], 3) == 20
    assert seconds_left({"A": [10.0]}, ["A"], [], 3) == 10
    assert seconds_left({"A": [10.0]}, [], [], 3) == 0


def test_nothing_is_expected_before_something_was_measured():
    assert seconds_left({}, ["A"], [], 1) is None
    assert Progress(3, 0, 1).time_left(["A"], []) == "time left not known yet"


def test_a_line_says_when_and_how_much_is_done(capsys):
    progress = Progress(90, 11, 1)
    progress.measured("A", 3600.0)
    progress.num_done += 1
    progress.tell(progress.time_left(["A", "A"], []))
    line = capsys.readouterr().out
    assert line.endswith(" [12 of 90 done] about 2 h 00 min left\n")
