"""The command line."""

import subprocess
import sys

import pytest

from davae.cli.guard import guard
from davae.cli.run import parse
from davae.core.presets import PRESETS


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("bad"), 2),
        (OSError(28, "full", "/x"), 2),
        (FloatingPointError("nan"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_lines_and_exit_codes(error, code, capsys):
    def fails():
        raise error

    assert guard(fails) == code
    assert "Traceback" not in capsys.readouterr().err


def davae(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", "from davae.cli.main import main; main()", *args],
        capture_output=True,
        text=True,
    )


def test_the_command_line_teaches():
    top = davae("--help")
    assert top.returncode == 0
    assert "davae run PRESET" in top.stdout
    options = davae("run", "tiny", "--help").stdout
    for name in (
        "--davae.align-weight",
        "--data.antialias",
        "--adapt.train.lr",
        "--runtime.device",
        "lambda_align",
    ):
        assert name in options, name
    wrong = davae("run", "huge")
    assert wrong.returncode == 2
    assert "nano, smoke, tiny" in wrong.stderr
    bad = davae("run", "nano", "--data.scale", "3")
    assert bad.returncode == 2
    assert "does not divide" in bad.stderr + bad.stdout


def test_flags_stand_alone():
    options = parse("tiny", PRESETS["tiny"], ["--brief", "--seed", "2", "--from-scratch"])
    assert (options.brief, options.from_scratch, options.experiment.seed) == (True, True, 2)
    assert not parse("tiny", PRESETS["tiny"], []).brief


def test_a_reader_that_ends_early_gets_no_traceback():
    words = f"{sys.executable} -m davae --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")
