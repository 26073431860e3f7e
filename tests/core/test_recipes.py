"""The paper's recipe and the release's."""

import subprocess
import sys

import pytest

from davae.core.experiment import Experiment
from davae.core.presets import PRESETS
from davae.core.recipes import CODE_OF_RELEASE, RELEASE, TEXT, at_recipe, leaves, origins
from davae.plan.describe import describe


def test_every_path_is_a_field():
    known = set(leaves(Experiment()))
    for table in (RELEASE, TEXT, CODE_OF_RELEASE):
        assert set(table) <= set(PRESETS)
        for paths in table.values():
            assert set(paths) <= known
    for preset in RELEASE:
        assert not set(TEXT.get(preset, ())) & set(CODE_OF_RELEASE[preset])


def test_the_release_has_its_terms_and_the_paper_has_none():
    paper, release = (leaves(at_recipe("sd35m_1k", r)) for r in ("paper", "release"))
    apart = {path: (paper[path], release[path]) for path in paper if paper[path] != release[path]}
    assert apart == {
        "davae.convnext_weight": (0.0, 0.1),
        "davae.train.clip_grad_norm": (0.0, 1.0),
        "davae.train.lr_schedule": ("constant", "cosine"),
        "adapt.min_snr_gamma": (0.0, 5.0),
        "sample.num_inference_steps": (28, 30),
        "sample.guidance_scale": (4.5, 2.5),
    }
    imagenet = at_recipe("imagenet512", "release")
    assert imagenet.adapt.cosine_weight == 1.0
    assert at_recipe("imagenet512", "paper") == PRESETS["imagenet512"]
    with pytest.raises(ValueError, match="no recipe of tiny; it has one of imagenet512"):
        at_recipe("tiny", "release")


def test_every_setting_says_where_it_is_from():
    e = at_recipe("imagenet512", "paper")
    found = {path: (source, apart) for path, _, source, apart in origins("imagenet512", e)}
    assert found["davae.align_weight"] == ("paper", "")
    assert found["adapt.train.lr"] == ("release", "")
    assert found["davae.train.steps"] == ("ours", "")
    assert found["adapt.cosine_weight"] == ("paper", "1.0")
    release = origins("imagenet512", at_recipe("imagenet512", "release"))
    assert ("adapt.cosine_weight", "1.0", "release", "") in release
    mine = at_recipe("sd35m_1k", "paper")
    mine = type(mine)(**{**vars(mine), "seed": 3})
    assert ("seed", "3", "yours", "") in origins("sd35m_1k", mine)
    lines = [line.split() for line in describe("imagenet512", e).splitlines()]
    assert ["adapt.cosine_weight", "0.0", "paper", "release:", "1.0"] in lines


def test_the_command_line_chooses_it():
    def said(*words):
        return subprocess.run(
            [sys.executable, "-c", "from davae.cli.main import main; main()", "plan", *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert "one of paper, release" in said("imagenet512", "--recipe", "mine").stderr
    wrong = said("tiny", "--recipe", "release")
    assert wrong.returncode == 2
    assert "no recipe of tiny" in wrong.stderr
    release = said("imagenet512", "--recipe", "release").stdout
    assert ["adapt.cosine_weight", "1.0", "release"] in [x.split() for x in release.splitlines()]
