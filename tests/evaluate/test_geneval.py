"""The layout that GenEval's scorer reads."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.evaluate.geneval import export, read_metadata
from davae.stages.artifacts import MODEL
from davae.stages.graph import graph
from davae.stages.stage import Pipeline
from tests.stages.test_text import experiment, save_sd3

LINES = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a bench"},
    {"tag": "colors", "include": [{"class": "cow", "count": 1}], "prompt": "a blue cow"},
]


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """(experiment, the folder that its adaptation left)."""
    top = tmp_path_factory.mktemp("geneval")
    save_sd3(top)
    e = experiment("sd3", str(top / "pipe"))
    pipeline = Pipeline(Store(top / "store"), Runtime(), lambda text: None)
    return e, pipeline.path(graph(e)["adapted"]) / MODEL


@pytest.fixture
def metadata(tmp_path):
    path = tmp_path / "evaluation_metadata.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def images_of(folder):
    files = sorted(folder.rglob("*.png"))
    return {str(f.relative_to(folder)): np.asarray(Image.open(f)) for f in files}


def test_every_prompt_has_a_folder_and_images_of_its_own(adapted, metadata, tmp_path):
    e, folder = adapted
    out = export(e, folder, metadata, tmp_path / "out", Runtime(), images=2)
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == ["00000", "00001"]
    assert [json.loads((out / f"0000{i}" / "metadata.jsonl").read_text()) for i in (0, 1)] == LINES
    images = images_of(out)
    assert list(images) == [f"0000{i}/samples/0000{k}.png" for i in (0, 1) for k in (0, 1)]
    assert {image.shape for image in images.values()} == {(64, 64, 3)}
    assert len({image.tobytes() for image in images.values()}) == 4


def test_an_export_goes_on_and_does_not_depend_on_the_batch(adapted, metadata, tmp_path):
    e, folder = adapted
    whole = images_of(export(e, folder, metadata, tmp_path / "a", Runtime(), images=2))
    alone = export(e, folder, metadata, tmp_path / "b", Runtime(images_at_once=1), images=2)
    kept = alone / "00000" / "samples" / "00000.png"
    (alone / "00001" / "samples" / "00001.png").unlink()
    before = kept.stat().st_mtime_ns
    again = images_of(export(e, folder, metadata, tmp_path / "b", Runtime(), images=2))
    assert kept.stat().st_mtime_ns == before
    for name, image in whole.items():
        assert np.abs(image.astype(int) - again[name].astype(int)).max() <= 1  # rounding of sums


def test_images_of_other_settings_or_another_adaptation_are_not_mixed(adapted, metadata, tmp_path):
    e, folder = adapted
    out = export(e, folder, metadata, tmp_path / "out", Runtime(), images=1)
    with pytest.raises(ValueError, match="another settings"):
        export(replace(e, seed=e.seed + 1), folder, metadata, out, Runtime(), images=1)
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "note.txt").write_text("of another training")
    with pytest.raises(ValueError, match="another adaptation"):
        export(e, other, metadata, out, Runtime(), images=1)
    export(e, folder, metadata, out, Runtime(), images=2)  # more of the same


def test_what_is_wrong_is_said(adapted, metadata, tmp_path):
    e, folder = adapted
    with pytest.raises(ValueError, match=r"no file .*evaluation_metadata"):
        read_metadata(tmp_path / "none.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "a"}\n{"tag": "b"}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_metadata(broken)
    with pytest.raises(ValueError, match="lightning has classes"):
        export(PRESETS["tiny"], folder, metadata, tmp_path / "out", Runtime())
    (tmp_path / "out" / "00000").mkdir(parents=True)
    (tmp_path / "out" / "00000" / "metadata.jsonl").write_text('{"prompt": "another"}')
    with pytest.raises(ValueError, match="another prompt"):
        export(e, folder, metadata, tmp_path / "out", Runtime())
