"""The first run's table."""

import pandas as pd

from davae.core.presets import PRESETS
from davae.run.brief import brief


def test_six_rows_and_a_sentence_by_hand():
    values = {"real_heldout": 1.0, "davae": 0.98, "base_upsampled": 0.251, "adapted": 0.8}
    rows = [
        {"arm": arm, "metric": "detail_accuracy", "value": value, "protocol": "p"}
        for arm, value in {**values, "davae_zeroed": 0.3}.items()
    ]
    rows.append({"arm": "davae", "metric": "psnr_db", "value": 33.25, "protocol": "p"})
    text = brief(PRESETS["smoke"], pd.DataFrame(rows))
    lines = text.splitlines()
    assert lines[0] == "| row | detail | amplitude | content | PSNR dB |"
    assert lines[2] == "| real scenes | 1 | – | – | – |"
    assert lines[3] == "| real, through the DA-VAE | 0.98 | – | – | 33.25 |"
    assert len(lines) == 8
    assert "With the same 64 tokens, 80% of the adapted" in lines[-1]
    assert "against 25% (samples of the base model, enlarged); 25% is chance" in lines[-1]
    assert "240 drawn scenes of 64 px, seed 0, at reduced scale" in lines[-1]


def test_what_a_short_adaptation_costs_is_said():
    rows = [
        {"arm": arm, "metric": metric, "value": value, "protocol": "p"}
        for arm, detail, content in (("base_upsampled", 0.25, 0.95), ("adapted", 0.8, 0.82))
        for metric, value in (("detail_accuracy", detail), ("content_accuracy", content))
    ]
    text = brief(PRESETS["smoke"], pd.DataFrame(rows))
    assert "Shape and colour are right in 82% of them, in 95% of the base model's" in text
