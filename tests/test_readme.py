"""The README's snippet, as it stands, on a small pipeline of the real classes; what documents and
committed tables point to."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from davae.models.davae import DAVAE, DAVAEConfig
from tests.stages.test_text import save_sd3

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TABLES = sorted(ROOT.glob("results/*/*/ablations/*/table.md"))
assert TABLES


def test_the_snippet_for_ones_own_pipeline_runs(tmp_path, monkeypatch):
    save_sd3(tmp_path)
    (tmp_path / "pipe").rename(tmp_path / "sd35m")
    torch.manual_seed(0)
    vae = AutoencoderKL.from_pretrained(tmp_path / "sd35m" / "vae")
    davae = DAVAE(**asdict(DAVAEConfig.of_base(vae, 16)))
    davae.load_base(vae, init_detail=True)
    davae.save_pretrained(tmp_path / "my_davae")
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert snippet.count("=1024") == 2
    names = {}
    exec(snippet.replace("=1024", "=64"), names)
    assert names["pipe"].vae.config.latent_channels == vae.config.latent_channels + 16
    image = names["pipe"]("a prompt", height=64, width=64, num_inference_steps=1).images[0]
    assert image.size == (64, 64)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_points_to_is_there(path):
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", path.read_text())
    local = [target for target in targets if not re.match(r"\w+:", target)]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_the_figures_that_committed_tables_name_are_there():
    named = [(path, name) for path in TABLES
             for name in re.findall(r"The figure “(\w+)”", path.read_text())]  # fmt: skip
    assert named
    assert [pair for pair in named if not pair[0].with_name(f"{pair[1]}.svg").exists()] == []
