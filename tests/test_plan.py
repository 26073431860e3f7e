"""Plans count the real architectures: known parameter counts, known FLOPs, and the closed forms."""

import pytest

from davae.plan import PLANS, count, describe


def test_sd35_medium_has_its_known_counts():
    found, plan = count(PLANS["sd35m_1k"]), PLANS["sd35m_1k"]
    assert found.transformer == 2_243_171_520
    assert found.lora == 244_973_568  # 244.97 M
    assert found.widened == 1536 * 16 * 4 + (1536 + 1) * 16 * 4  # the embedder's new columns, the head's new rows
    assert plan.tokens == 32 * 32
    assert found.forward / 1e12 == pytest.approx(2.443, abs=2e-3)
    assert found.native_forward / 1e12 == pytest.approx(11.250, abs=2e-3)
    assert plan.closed_form(plan.tokens, 4 * 32) == pytest.approx(found.forward, rel=1e-3)


def test_imagenet_has_its_known_counts():
    found, plan = count(PLANS["imagenet512"]), PLANS["imagenet512"]
    positions = 256 * 1152
    assert found.transformer + found.widened + positions == 675_482_048
    assert (found.davae_frozen, found.davae_trained) == (28_417_408, 72_363_699)
    assert plan.closed_form(plan.tokens, 128) == pytest.approx(found.forward, rel=1e-3)


def test_an_unknown_plan_is_an_error_that_names_the_known():
    with pytest.raises(ValueError, match="plans: imagenet512, sd35m_1k, sd35m_2k, flux_1k"):
        describe("sd35")
