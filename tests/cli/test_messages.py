"""How commands end when nobody reads on, and that other broken pipes stay errors."""

import subprocess
import sys

import pytest

from nnunetv2_pcrl.cli.messages import exit_with_error

START = "from nnunetv2_pcrl.cli.messages import exit_with_error\nwith exit_with_error():\n"


@pytest.mark.parametrize(
    "body",
    [
        "    for line in range(100_000): print(line)",
        "    print('x' * 1_000_000)",
        "    print('one line')",
        "    print('one line'); raise SystemExit(1)",
    ],
    ids=["many lines", "one long line", "a short text", "a short text before the end"],
)
def test_a_closed_pipe_ends_a_command_without_a_word(body):
    # It writes only when its reader is gone for sure.
    command = [sys.executable, "-c", f"input()\n{START}{body}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_a_broken_pipe_that_is_not_the_output_is_an_error(capsys):
    with pytest.raises(SystemExit, match="ERROR: .*Broken pipe"), exit_with_error():
        raise BrokenPipeError(32, "Broken pipe")
