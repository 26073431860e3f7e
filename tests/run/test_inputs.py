"""What a run needs before it starts."""

from dataclasses import replace

import pytest

from davae.core.presets import PRESETS
from davae.stages.inputs import check_inputs

NANO = PRESETS["nano"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"also": ("effnet_lite:blocks=3",)}, "there is no extractor 'effnet_lite'"),
        ({"also": ("effnet_lite0:depth=3",)}, "has no option depth"),
        ({"also": ("effnet_lite0:input_px=64,blocks=11",)}, "112 features .* 1120 crops"),
        ({"also": ("inception_clean",)}, "is missing"),
        ({"metrics": ("psnr", "lpips")}, "is missing"),
        ({"metrics": ("kd", "latent_probe")}, "latent_probe is of latents"),
        ({"metrics": ("kd", "is"), "also": ("clip",)}, "clip_tiny is trained by"),
    ],
)  # fmt: skip
def test_judges_that_cannot_judge_are_named_before_anything_is_trained(
    changes, message, monkeypatch, tmp_path
):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        check_inputs(replace(NANO, eval=replace(NANO.eval, **changes)))


def test_a_preset_that_lacks_nothing_is_let_through():
    check_inputs(NANO)
    check_inputs(PRESETS["tiny"])


def test_a_file_that_holds_no_captions_is_named(tmp_path):
    readme, table = tmp_path / "README.md", tmp_path / "captions.csv"
    readme.write_text("file,caption")
    table.write_text("file,text\na.png,a cat\n")
    for file, message in ((readme, "a .csv, .tsv or .jsonl file"), (table, "has the columns file")):
        data = replace(NANO.data, name="folder", path=str(tmp_path), captions=str(file))
        with pytest.raises(ValueError, match=f"data.captions: .*{message}"):
            check_inputs(replace(NANO, data=data))
