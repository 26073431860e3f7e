"""What the protocol alone changes."""

import numpy as np
import pytest

from davae.evaluate.protocols import all_protocols
from davae.evaluate.request import EvalRequest
from davae.metrics.distribution import frechet
from tests.photo_crops import crops
from tests.small_models import effnet_features

SMALL = {"extractor": "effnet_lite0:input_px=32,blocks=3"}


def test_all_protocols_one_change_at_a_time(sets, pipeline, tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    scores, table = all_protocols(EvalRequest(*sets, **SMALL), pipeline)
    available = table[table["FD"].notna()]
    assert list(available["protocol"]) == [
        "as asked",
        "resize: torch bilinear, not antialiased",
        "resize: PIL bicubic, rounded to uint8",
        "covariance over N, not N - 1",
        "half the samples",
        "extractor: effnet_lite2",
    ]
    assert list(available["N"]) == [60, 60, 60, 60, 30, 60]
    assert available["FD"].nunique() == 6
    assert available["KD"].nunique() == 5  # ddof does not enter it
    assert table["note"].str.contains("not available: the weights file").sum() == 3
    assert table["note"].str.contains("clip_tiny is not trained yet").sum() == 1
    assert len({m.protocol for m in scores.measured}) == 6
    x, y = (effnet_features(crops(s).transpose(0, 3, 1, 2), 32, 3) for s in (0, 1))
    change = 100 * (frechet(x, y, ddof=0).value / frechet(x, y).value - 1)
    assert table["FD change %"][3] == pytest.approx(change, rel=1e-3)


def test_all_protocols_of_float_images(pipeline, tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    np.save(tmp_path / "a.npy", crops(0).astype(np.float32) / 127.5 - 1 + 0.005)
    np.save(tmp_path / "b.npy", crops(1))
    _, table = all_protocols(EvalRequest(tmp_path / "a.npy", tmp_path / "b.npy", **SMALL), pipeline)
    changed = table[table["protocol"].str.startswith("quantisation")]
    assert list(changed["protocol"]) == ["quantisation: truncated", "quantisation: float"]
    assert (changed["FD change %"].abs() > 0).all()
