"""The command davae eval."""

import subprocess
import sys

import pytest

from davae.cli.eval import parse as parse_eval


def test_missing_weights_exit_with_2_and_name_the_offline_metric(sets, tmp_path):
    made, real = map(str, sets)
    environment = {
        "DAVAE_WEIGHTS": str(tmp_path),
        "TORCH_HOME": str(tmp_path),
        "PATH": "",
        "HOME": str(tmp_path),
    }
    captions = tmp_path / "captions.csv"
    captions.write_text("file,caption\n" + "".join(f"{i:03d}.png,coffee\n" for i in range(60)))
    clip = ["--metrics", "clip", "--captions", str(captions), "--clip-model", "ViT-B-32/openai"]
    for options in (["--extractor", "inception_clean"], ["--metrics", "lpips"], clip):
        command = [
            sys.executable,
            "-c",
            "from davae.cli.main import main; main()",
            "eval",
            made,
            "--reference",
            real,
        ]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == 2, done.stderr
        assert "Get it from https://" in done.stderr
        assert "effnet" in done.stderr or "clip_tiny" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_setting_gives_the_defaults_that_the_papers_figures_are_measured_by():
    options = parse_eval(["samples", "--setting", "fid50k", "--reference", "adm.npz"])
    assert options.request.metrics == ("fd", "is")
    assert options.request.samples == 50_000
    assert (
        options.request.extractor
        == options.request.reference_extractor
        == "inception_legacy_tensorflow"
    )
    fewer = parse_eval(["--setting", "mjhq30k", "samples", "--reference", "r", "--samples", "12"])
    assert (fewer.request.samples, fewer.request.extractor) == (12, "inception_clean")
    assert fewer.request.metrics == ("fd", "clip")
    with pytest.raises(ValueError, match="settings: fid10k, fid50k, mjhq30k"):
        parse_eval(["samples", "--setting", "fid5k"])
