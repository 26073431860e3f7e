"""Records and tables of davae eval."""

import json
from dataclasses import replace

from davae.core import records
from davae.evaluate.execute import run_eval
from davae.evaluate.request import EvalRequest
from davae.evaluate.score import score

SMALL = {"extractor": "effnet_lite0:input_px=32,blocks=3"}


def measured(request, pipeline):
    """The measurements of a request."""
    return score(request, pipeline).measured


def test_a_folder_of_its_own_holds_record_and_table(sets, pipeline, tmp_path):
    request = EvalRequest(*sets, metrics=("fd", "is"), **SMALL)
    deeper = measured(
        replace(request, metrics=("is",), extractor="effnet_lite0:input_px=32,blocks=5"), pipeline
    )[0]
    assert (
        deeper == measured(replace(request, metrics=("is",)), pipeline)[0]
    )  # all 16 blocks classify
    assert "effnet_lite0-b16" in deeper.protocol
    text, folder = run_eval(request, pipeline, tmp_path / "out")
    assert run_eval(request, pipeline, tmp_path / "out")[1] != folder
    frame = records.load_records(folder)
    assert list(frame["metric"]) == ["fd_effnet", "is_effnet"]
    assert (frame["low"] < frame["value"]).all()
    assert (folder / "table.md").read_text() == text
    assert json.loads((folder / "options.json").read_text())["extractor"] == SMALL["extractor"]
    protocol = json.loads((folder / "protocols.json").read_text())[frame["protocol"][0]]
    assert (protocol["resize"], protocol["samples"]) == ("clean-fid PIL bicubic, float 32 px", 60)
