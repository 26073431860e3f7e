"""Figures: what is drawn where."""

from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from davae.analysis import bench_plots, plots, sweep_plots


@pytest.fixture
def axes(monkeypatch):
    """The axes of the figure that is saved next."""
    found = []
    monkeypatch.setattr(sweep_plots, "save", lambda figure, *paths: found.extend(figure.axes))
    yield found
    plt.close("all")


def draw(levels, values):
    frame = pd.DataFrame(
        {"arm": "a", "level": levels, "seed": 0, "metric": "m", "protocol": "", "value": values}
    )
    order = list(dict.fromkeys(levels))
    sweep_plots.level_figure(frame, {("m", ""): "M"}, factor="f", levels=order, title="t", paths=())


def test_numeric_levels_are_sorted_and_joined(axes):
    draw([1.0, 0.0, 0.0], [5.0, 1.0, 3.0])
    assert [t.get_text() for t in axes[0].get_xticklabels()] == ["0", "1"]
    line = next(line for line in axes[0].get_lines() if line.get_linestyle() == "-")
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0, 1], [2.0, 5.0])


def test_levels_that_span_a_factor_of_ten_stand_on_a_logarithmic_axis():
    places = sweep_plots.positions([0.0, 0.001, 0.01, 0.1])
    assert list(places.values()) == pytest.approx([-4, -3, -2, -1])
    assert sweep_plots.positions([0.0, 1.0, 2.0]) == {0.0: 0, 1.0: 1, 2.0: 2}
    assert sweep_plots.positions(["b", "a"]) == {"b": 0, "a": 1}


def test_series_are_lines_of_their_own(axes):
    frame = pd.DataFrame(
        {
            "arm": list("abcd"), "level": [1.0, 2.0, 1.0, 2.0],
            "series": ["a", "a", "b", "b"], "seed": 0,
            "metric": "m", "protocol": "", "value": [1.0, 2.0, 5.0, 7.0],
        }
    )  # fmt: skip
    sweep_plots.level_figure(
        frame, {("m", ""): "M"}, factor="f", levels=[1.0, 2.0], title="t", paths=()
    )
    lines = {line.get_label(): line for line in axes[0].get_lines() if line.get_linestyle() == "-"}
    assert {name: list(line.get_ydata()) for name, line in lines.items()} == {
        "a": [1.0, 2.0], "b": [5.0, 7.0],
    }  # fmt: skip
    assert lines["a"].get_color() != lines["b"].get_color()


def test_categories_keep_their_order_and_are_not_joined(axes):
    draw(["zero", "random", "another"], [1.0, 2.0, 3.0])
    assert [t.get_text() for t in axes[0].get_xticklabels()] == ["zero", "random", "another"]
    assert all(line.get_linestyle() == "None" for line in axes[0].get_lines())


def test_rows_of_images_are_where_they_should_be(tmp_path):
    """Two named blocks of flat colours, three classes: the pixels at each place say which image."""
    colours = np.arange(2 * 3).reshape(2, 1, 3) * 40
    rows = {
        name: np.broadcast_to(block[:, :, None, None, None], (1, 3, 3, 16, 16)).astype(np.uint8)
        for name, block in zip(("above", "below"), colours, strict=True)
    }
    plots.image_rows(tmp_path / "x.png", rows, ["a", "b", "c"])
    picture = np.asarray(Image.open(tmp_path / "x.png").convert("L")).astype(int)
    values, counts = np.unique(picture, return_counts=True)
    large = {int(v) for v, c in zip(values, counts, strict=True) if c > picture.size / 20}
    assert {0, 40, 80, 120, 160, 200} <= large
    where = {v: np.argwhere(picture == v).mean(0) for v in (40, 80, 120, 160, 200)}
    assert where[40][1] < where[80][1]  # columns from left to right
    assert where[120][0] > where[40][0]  # the second block below the first
    assert where[160][1] == pytest.approx(where[40][1], abs=3)


def test_the_roof_is_the_lower_of_bandwidth_and_product():
    points = pd.DataFrame(
        {
            "case": ["tiny-widened-denoise-b1", "tiny-widened-decode-b8"],
            "intensity": [1.0, 50.0],
            "flops_per_second": [5e9, 1.5e11],
        }
    )
    [axis] = bench_plots.draw_roofline(
        points, 2e11, 4e11, 1e10
    ).axes  # they meet at 20 FLOPs a byte
    roof = axis.get_lines()[0]
    x, y = np.array(roof.get_xdata()), np.array(roof.get_ydata())
    assert y[x > 20] == pytest.approx(200)
    assert y[x < 20] == pytest.approx(10 * x[x < 20])
    convolution = axis.get_lines()[1]
    assert np.max(convolution.get_ydata()) == pytest.approx(400)
    drawn = {tuple(line.get_xydata()[0]) for line in axis.get_lines()[2:]}
    assert drawn == {(1.0, 5.0), (50.0, 150.0)}
    assert {t.get_text() for t in axis.get_legend().get_texts()} == {"denoise", "decode"}
    plt.close("all")


def titles_of(path):
    """What the points of an SVG say, behind the title of the file's own metadata."""
    every = ElementTree.parse(path).iter()
    return [element.text for element in every if element.tag.endswith("}title")][1:]


def test_points_of_an_svg_have_names_that_are_escaped(tmp_path):
    frame = pd.DataFrame(
        {
            "arm": ["<a> & b", "c"], "level": ["<a> & b", "c"], "seed": [0, 1], "metric": "m",
            "protocol": "", "value": [1.5, 2.0],
        }
    )  # fmt: skip
    path = tmp_path / "figure.svg"
    sweep_plots.level_figure(
        frame, {("m", ""): "M"}, factor="f", levels=["<a> & b", "c"], title="t", paths=(path,)
    )
    assert titles_of(path) == ["<a> & b, seed 0: 1.5", "c, seed 1: 2"]
    assert plots.NAMED not in path.read_text()


def test_a_front_shows_a_metric_whose_sign_was_changed_as_it_is(tmp_path):
    values = {"a": np.array([[-30.0, 5.0], [-32.0, 7.0]]), "b": np.array([[-20.0, 9.0]])}
    path = tmp_path / "front.svg"
    sweep_plots.pareto_figure((path,), values, ["PSNR", "gKD"], [True, False], ["a"])
    assert titles_of(path) == [
        "a, a seed: 30, 5", "a, a seed: 32, 7", "a, mean: 31, 6", "b, a seed: 20, 9",
        "b, mean: 20, 9",
    ]  # fmt: skip


def test_every_seed_of_a_metric_over_another_is_a_point(tmp_path):
    rows = [
        {"arm": arm, "seed": seed, "metric": metric, "value": value, "protocol": ""}
        for arm, seed, x, y in (("a", 0, 1.0, 10.0), ("a", 1, 3.0, 20.0), ("b", 0, 2.0, 40.0))
        for metric, value in (("speed", x), ("quality", y))
    ]
    path = tmp_path / "means.svg"
    sweep_plots.means_figure(
        (path,), pd.DataFrame(rows), ("speed", "img/s"), {"quality": "Q", "not there": "N"}
    )
    assert titles_of(path) == [
        "a, seed 0: 1, 10", "a, seed 1: 3, 20", "a, mean: 2, 15", "b, seed 0: 2, 40",
        "b, mean: 2, 40",
    ]  # fmt: skip


def test_names_are_shown_as_they_are(axes):
    """Formulas between dollars would be typeset or refused, and a leading _ is matplotlib's own."""
    names = [r"w = $\frac{$", "_b"]
    frame = pd.DataFrame(
        {
            "arm": names, "level": names, "series": names, "seed": 0, "metric": "m",
            "protocol": "", "value": [1.0, 2.0],
        }
    )  # fmt: skip
    sweep_plots.level_figure(
        frame, {("m", ""): "$5^$"}, factor="$_$", levels=names, title="$a^$?", paths=()
    )
    figure = axes[0].figure
    figure.canvas.draw()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [r"w = \$\frac{\$", " _b"]
    for text in (*axes[0].get_xticklabels(), axes[0].title, figure.legends[0].get_texts()[0]):
        shown, is_math = text._preprocess_math(text.get_text())
        assert not is_math
        assert "\\$" not in shown


def test_no_figure_is_drawn_of_no_curves(tmp_path):
    """As where only snapshots of a training were asked for."""
    sweep_plots.by_step_figure((tmp_path / "flow.svg",), {}, {"flow_base": "base channels"})
    assert list(tmp_path.iterdir()) == []
