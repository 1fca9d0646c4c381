import os
import signal
import time

import pytest

from nnunetv2_pcrl.datasets.parallel import listed, run_cases


def work(number: int) -> str | None:
    if number < 0:
        raise RuntimeError(f"bad\n  number {number}")
    if number == 0:
        print("ERROR! said on the output only")
        raise RuntimeError()
    return "large" if number > 1 else None


def be_killed() -> None:
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_reasons_of_failed_cases_are_returned_and_the_others_run(num_processes, capsys):
    jobs = {"c": (-1,), "a": (1,), "b": (0,), "d": (2,)}
    failed, remarks = run_cases(work, jobs, num_processes, "Work")
    assert remarks == {"d": "large"}
    assert failed == {"c": "bad number -1", "b": "ERROR! said on the output only"}
    assert list(failed) == ["c", "b"]
    captured = capsys.readouterr()
    assert "Work" in captured.err and "ERROR" not in captured.out


def test_a_killed_worker_is_an_error_with_the_remedy():
    with pytest.raises(ValueError, match=r"fewer processes than 2 \(-np\)"):
        run_cases(be_killed, {"a": (), "b": ()}, 2, "Work")


def leave_a_file(folder, number: int) -> None:
    time.sleep(0.05)
    (folder / str(number)).touch()


@pytest.mark.slow
def test_an_interruption_gives_up_the_cases_that_wait(tmp_path, monkeypatch):
    def interrupt(bar):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnunetv2_pcrl.datasets.parallel.tqdm.update", interrupt)
    jobs = {str(number): (tmp_path, number) for number in range(30)}
    with pytest.raises(KeyboardInterrupt):
        run_cases(leave_a_file, jobs, 2, "Work")
    finished = len(list(tmp_path.iterdir()))
    assert 1 <= finished < 20
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == finished


def test_a_list_for_a_message_is_bounded():
    text = listed({f"case{n}": "damaged" for n in range(50)}, 2)
    assert text == "\n  case0: damaged\n  case1: damaged\n  and 48 more"
    assert listed({"a": "b"}) == "\n  a: b"
