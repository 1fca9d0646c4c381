"""Files are either the old or the new one, whatever happens while they are written."""

import signal
import subprocess
import sys

import pytest

from nnunetv2_pcrl.weights.atomic import replaced_atomically


def test_the_new_content_replaces_the_old_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "file.pth"
    path.write_text("old")
    with replaced_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_not_there_is_made(tmp_path):
    with replaced_atomically(str(tmp_path / "file.pth")) as temporary:
        temporary.write_text("new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("error", [OSError(28, "no space left"), KeyboardInterrupt()])
def test_an_error_while_writing_leaves_the_old_file_and_goes_on(tmp_path, error):
    path = tmp_path / "file.pth"
    path.write_text("old")
    with pytest.raises(type(error)), replaced_atomically(path) as temporary:
        temporary.write_text("ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_nothing_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.pth"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replaced_atomically(path):
        pass
    assert path.read_text() == "old"


def test_a_missing_folder_is_an_error(tmp_path):
    with (
        pytest.raises(FileNotFoundError),
        replaced_atomically(tmp_path / "no such folder" / "file.pth") as temporary,
    ):
        temporary.write_text("new")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal that cannot be caught")
def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.pth"
    path.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from nnunetv2_pcrl.weights.atomic import replaced_atomically\n"
        "with replaced_atomically(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('ne')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
