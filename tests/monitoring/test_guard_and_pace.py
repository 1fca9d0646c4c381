from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pace import Pace


def test_a_failure_is_said_once_and_goes_no_further():
    said = []
    guard = Guard(said.append)
    for _ in range(3):
        with guard("the picture"):
            raise RuntimeError("no ink")
    with guard("the probe"):
        raise ValueError("no labels")
    assert len(said) == 2
    assert "the picture failed" in said[0] and "RuntimeError: no ink" in said[0]
    assert "the probe failed" in said[1]


def test_what_takes_long_is_done_seldom():
    now = [0.0]
    pace = Pace(share=0.01, expected_s=2, clock=lambda: now[0])
    now[0] = 199
    assert not pace.is_due()
    now[0] = 200
    assert pace.is_due()
    with pace.measured():
        now[0] += 5
    assert not pace.is_due()
    now[0] += 499
    assert not pace.is_due()
    now[0] += 1
    assert pace.is_due()
