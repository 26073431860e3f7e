"""Predictions, by hand."""

import pytest

from benchmarks.prediction import (
    PUBLISHED_IMG_S,
    Work,
    fit_mfu,
    predicted_img_s,
    unexplained_seconds,
    work_of,
)


def work(form, image):
    return Work(form, 1024, tokens=0, forwards=1, text=0.0, forward=image, decode=0.0)


def test_one_mfu_halves_the_error_between_two_throughputs():
    published = {("native", 1024): 1.0, ("widened", 1024): 4.0}
    works = [work("native", 156.0), work("widened", 31.2)]  # shares 0.5 and 0.4 of 312 TFLOP/s
    fit = fit_mfu(works, published)
    assert fit.mfu == pytest.approx((0.5 * 0.4) ** 0.5)
    errors = sorted(fit.errors.values())
    assert errors[0] == pytest.approx((0.4 / 0.5) ** 0.5 - 1)
    assert (1 + errors[0]) * (1 + errors[1]) == pytest.approx(1)
    assert predicted_img_s(works[0], 0.5, "A100") == pytest.approx(1.0)


def test_seconds_that_are_alike_lower_a_speed_up():
    native, widened = work("native", 312.0), work("widened", 31.2)  # 2 s and 0.2 s at 0.5
    extra = unexplained_seconds(native, widened, 0.5, 5.0, "A100")
    assert (2 + extra) / (0.2 + extra) == pytest.approx(5.0)
    assert unexplained_seconds(native, widened, 0.5, 10.0, "A100") == pytest.approx(0.0)


def test_the_published_throughputs_follow_from_one_mfu():
    works = [work_of(form, 1024) for form in ("native", "widened")]
    native, widened = works
    assert (native.tokens, widened.tokens) == (4096, 1024)
    assert native.forwards == widened.forwards == 56
    assert native.forward == pytest.approx(11.250, rel=1e-3)
    assert widened.forward == pytest.approx(2.443, rel=1e-3)
    assert native.text == widened.text > 0
    fit = fit_mfu(works, PUBLISHED_IMG_S)
    assert 0.3 < fit.mfu < 0.6
    assert all(abs(error) < 0.1 for error in fit.errors.values())
