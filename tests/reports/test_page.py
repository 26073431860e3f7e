"""The page, as text."""

import json
import re
import shutil
from html import escape
from pathlib import Path

import pandas as pd
import pytest

from davae.analysis.findings import Claim, findings_table, judge_all
from davae.core import records
from reports.build import page, write
from reports.exports import every_table
from reports.html import sort_key
from reports.results import read_results
from reports.section import all_sections
from reports.sections.full_size import full_size_table, ratios
from reports.sections.throughput import NATIVE, WIDENED
from reports.svg import harmless
from tests.reports.conftest import MARKUP, run_rows


def test_two_pages_of_the_same_results_are_one_byte_for_byte(results, tmp_path):
    first, second = (write(results, tmp_path / name).read_bytes() for name in "ab")
    assert first == second
    assert len(first) < 8e6


def test_what_records_and_names_hold_is_escaped(results):
    text = page(results)
    assert MARKUP not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 3  # arm, question, machine


def test_the_page_needs_nothing_from_outside(results):
    text = page(results).replace(escape(MARKUP), "")
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', text)
    assert all(a.startswith(("data:", "#")) for a in addresses), addresses
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)


def test_headline_says_what_was_measured_and_what_is_published(results):
    text = page(results)
    assert "0.900 (0.900 to 0.900)" in text
    assert "published for SD3.5-Medium on an A100" in text


def test_quality_stands_over_the_images_a_second_of_the_run_itself(results):
    assert "Quality at a speed" not in page(results)  # nothing was timed
    timed = [
        run_rows(f"stage:{stage}", "seconds", value)
        for stage, value in (("sampled", 2.0), ("samples", 1.0), ("control_sampled", 4.0))
    ]
    records.append(results / "tiny" / "seed0" / "records.jsonl", timed)
    text = page(results)
    assert "adapted with DA-VAE, seed 0: 3, 0.9" in text  # 9 samples in 3 s
    assert "enlarged, seed 0: " not in text.partition("Quality at a speed</h2>")[2]


def test_what_a_sweep_wrote_is_shown_with_its_warnings(results):
    text = page(results)
    assert "Detail collapsed: c (0.1, floor 1)." in text
    assert "No claim is decided yet" in text  # verdicts of before five seeds were asked for
    assert "alert(1)</script>" not in text
    assert "onclick" not in text


def test_a_claim_is_one_row_with_the_verdict_of_its_first_extractor(results):
    claims = [Claim(text=f"claim {m}", published="Table 5" * (m == "m"), metric=m, a="a", b="b",
                    direction="higher") for m in "mn"]  # fmt: skip
    rows = [
        {"arm": arm, "seed": seed, "metric": metric, "value": sign * (arm == "a") * (9 + seed),
         "protocol": f"{extractor}-8d-n9/00ff00ff00" if metric == "m" else "p"}
        for extractor, sign in (("x", 1), ("y", 1), ("z", -1))
        for metric in "mn"
        for seed in range(5)
        for arm in "ab"
        if metric == "m" or extractor == "x"
    ]  # fmt: skip
    found = findings_table(judge_all(claims, pd.DataFrame(rows)).findings)
    assert list(found["verdict"]) == ["holds", "holds", "does not hold", "holds"]
    found.to_csv(results / "tiny" / "ablations" / "toy" / "findings.csv", index=False)
    text = page(results)
    assert "Judged claims, the paper&#39;s: 1." in text
    assert "Judged claims, our own: 1." in text
    assert "<strong>Holds (1):</strong> toy: claim n." in text
    assert "<strong>The networks disagree (1):</strong> toy: claim m (holds by 2 of 3)." in text
    assert "Of 1 readings of the paper&#39;s claims" in text
    assert "scale: the networks disagree: 1." in text
    assert "claim n: holds. claim m: the networks disagree." in text  # the figure, in words
    assert ">2 of 3</td>" in text


def full_size_row(arm, metric, value, kind="measured, float32"):
    return records.row(
        run_id="r", suite="headline", arm=arm, key="", preset="sd35m_1k", seed=0, metric=metric,
        value=value, n_samples=1, higher_is_better=None, protocol=kind,
    )  # fmt: skip


def test_full_size_says_what_is_missing_and_what_is_composed(results):
    rows = [
        full_size_row("native 1024 px", "img_per_s", 0.001),
        full_size_row("widened 1024 px", "img_per_s", 0.0045),
        full_size_row("widened 1024 px", "denoise_s", 30.25),
    ]
    records.append(results / "headline" / "records.jsonl", rows)
    [kept] = read_results(results).full_size
    table = full_size_table(kept).set_index("model")
    assert table.loc["widened 1024 px", "s a forward of an image, measured"] == "30.2"
    assert table.loc["native 1024 px", "s a forward of an image, measured"] == "–"
    assert table.loc["widened 1024 px", "A100, published"] == 1.03
    assert ratios(kept).endswith("at 1024 px 4.50 times, 4.12 published on an A100.")
    assert "30.2" in page(results)


DAMAGE = {
    "tiny/ablations/toy/records.jsonl": b"{broken\n{}\n",
    "tiny/ablations/toy/table.md": b"\xff\xfe\xfa",
    "tiny/ablations/toy/figure.svg": b"nothing drawn",
    "tiny/ablations/toy/samples.png": b"",
    "tiny/ablations/toy/findings.csv": b"",
    "suite.benchmark.json": b'{"benchmarks": [',
    "old.benchmark.json": b'{"benchmarks": [], "machine_info": {"davae": {"machine": {}}}}',
    "counters.json": b'{"torch": "x", "cases": {"a": 3}}',
    "history/a.json": b"[]",
    "tiny/seed0/glance.real.png": b"\x89PNG\r\n",
    "tiny/seed0/environment.json": b'{"machine": 7}',
    "tiny/seed0/records.jsonl": b'{"schema": 2, "suite": "run", "status": "failed", "arm": "a"}\n',
    "tiny/seed1/records.jsonl": b'{"schema": "new"}\n',
    "tiny/ablations/toy/stages.jsonl": b'{"key": "k", "seconds": {"a/b": 1.0}',
    "tiny/ablations/toy/table.csv": b"\x00\x01",
    "deep.json": b"[" * 100_000,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_said_and_the_rest_is_shown(results, name):
    file = results / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(DAMAGE[name])
    text = page(results)
    missing = text.partition("What is missing</h2>")[2]
    top = name if not name.startswith("history") else "history"
    top = "tiny/seed0" if "glance" in name else top
    assert f"{top} could not be read" in missing, missing[:500]
    assert "Machines, revisions, commands" in text


def rewrite(path, change):
    """The rows of a file of records, each changed."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(row)) + "\n" for row in rows))


WRONG = {"value": None, "arm": 7, "base_seed": "zz", "seed": True}


@pytest.mark.parametrize("name", WRONG)
def test_a_row_of_another_type_is_said_and_no_value_is_made_up(results, name):
    rewrite(results / "tiny" / "seed0" / "records.jsonl", lambda row: row | {name: WRONG[name]})
    text = page(results)
    said = f"tiny/seed0/records.jsonl could not be read: ValueError: {name} is {WRONG[name]!r}"
    assert said.replace("'", "&#39;") in text
    assert ">nan" not in text


def test_rates_of_0_and_machines_without_a_field_take_no_other_part_along(results):
    file = results / "suite.benchmark.json"
    report = json.loads(file.read_text())
    del report["machine_info"]["davae"]["machine"]["gpus"]
    (results / "cut.benchmark.json").write_text(json.dumps(report))
    rates = dict.fromkeys((NATIVE, WIDENED), 0.0)
    case = report["benchmarks"][0]
    zero = json.loads(file.read_text())
    zero["benchmarks"] = [
        {**case, "name": f"test_scenario[{name}]",
         "extra_info": {**case["extra_info"], "img_per_s": rate}}
        for name, rate in rates.items()
    ]  # fmt: skip
    file.write_text(json.dumps(zero))
    text = page(results)
    assert "cut.benchmark.json could not be read: KeyError" in text
    assert "0.900 (0.900 to 0.900)" in text
    assert "Machines, revisions, commands" in text


def test_an_unfinished_run_is_left_out_and_said(results):
    records.append(
        results / "tiny" / "seed9" / "records.jsonl", [run_rows("davae", "detail_accuracy", 0.5, 9)]
    )
    text = page(results)
    assert "means over 1 runs" in text
    assert "tiny/seed9 is left out of the headline: it is not finished" in text


def test_a_folder_within_the_results_and_one_of_another_name_are_shown_alike(results, monkeypatch):
    monkeypatch.chdir(results / "tiny")
    text = page(Path("."))
    assert "toy at tiny" in text
    assert "python -m ablations toy --preset tiny --seeds 0" in text
    (results / "tiny").rename(results / "renamed")
    assert "toy at tiny" in page(results)


def test_what_a_history_should_have_beside_it_is_missed(results):
    (results / "history").mkdir()
    shutil.copy(results / "suite.benchmark.json", results / "history" / "a.json")
    (results / "noise.csv").write_text("case,ok %\na,99.5\nb\n")
    text = page(results)
    assert "noise.csv could not be read: ValueError: it has rows with gaps" in text
    assert "tracker.csv is not there, beside a history" in text
    assert "counters.json is not there, beside a history" in text


def test_a_lost_file_of_findings_is_missed(results):
    folder = results / "tiny" / "ablations" / "toy"
    (folder / "findings.csv").unlink()
    assert "findings.csv" not in page(results).partition("What is missing</h2>")[2]
    with (folder / "table.md").open("a") as stream:
        stream.write("\n| claim | verdict |\n| --- | --- |\n| x | holds |\n")
    assert "findings.csv could not be read: ValueError: it is not there" in page(results)


def test_a_drawing_keeps_what_draws_and_nothing_else():
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="9pt" viewBox="0 0 9 9" onload="a()"><SCRIPT>a()</SCRIPT><style>b{}</style>'
        '<a href="javascript:a()"><path/></a><image href="http://x.example/x.png"/>'
        '<image href="data:image/png;base64,AA"/><iframe src="y"/><defs><path id="p"/></defs>'
        '<use xlink:href="#p" clip-path="url(#p)" style="fill: url(http://x.example)"/></svg>'
    )
    found = harmless(text)
    for gone in ("a()", "b{}", "x.example", "iframe", "javascript", "width"):
        assert gone not in found
    assert "data:image/png;base64,AA" in found
    [name] = re.findall(r'id="(f[0-9a-f]{6}-0)"', found)
    assert f' href="#{name}"' in found
    assert f'clip-path="url(#{name})"' in found
    with pytest.raises(ValueError, match="no SVG"):
        harmless(text + "</div>")


def test_a_drawing_has_no_white_space_that_draws_nothing():
    """Spaces of words are kept."""
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg">\n <g id="axes_1" transform="scale(0.015625)">\n'
        '  <path d="M 1.23456 2  L -3.000001 4.5  z "/>\n </g>\n'
        '<g transform="translate(48.765715 0) scale(0.015625)"/>'
        "<text>two  <tspan>words</tspan> here</text>\n</svg>"
    )
    found = harmless(text)
    assert "\n" not in found
    assert 'd="M 1.23 2 L -3 4.5 z"' in found
    assert '<g transform="scale(0.015625)">' in found  # a glyph's scale, and no id to refer to
    assert '<g transform="translate(48.77 0) scale(0.015625)"' in found
    assert "two  <tspan>words</tspan> here" in found


def test_the_page_has_its_tables_and_figures_beside_it(results, tmp_path):
    for name in "ab":
        write(results, tmp_path / name)
    files = [
        sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*.*"))
        for name in "ab"
    ]
    assert files[0] == files[1]
    names = [str(path) for path in files[0]]
    assert {"tables/headline.csv", "tables/bench_suite.csv", "figures/tiny_toy.svg",
            "figures/bench_suite_roofline.png"} <= set(names)  # fmt: skip
    for path in files[0]:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    with pytest.raises(ValueError, match="cannot be a folder"):
        write(results, tmp_path / "a" / "index.html")


def test_an_empty_folder_says_what_is_missing(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "there are no records of runs below empty" in page(empty)
    with pytest.raises(ValueError, match="is no folder"):
        page(tmp_path / "nowhere")


def test_presets_and_machines_are_kept_apart(results):
    for where, value in (("smoke/seed0", 0.5), ("gpu/tiny/seed0", 0.7)):
        rows = [run_rows(arm, "detail_accuracy", value) for arm in ("adapted", "control")]
        rows = [{**row, "preset": where.split("/")[-2]} for row in rows]
        records.append(results / where / "records.jsonl", rows)
    groups = read_results(results).groups()
    assert [len(runs) for runs in groups.values()] == [1, 1, 1]
    headline = page(results).partition("Throughput</h2>")[0]
    assert "means over 1 runs" in headline
    assert "0.500" not in headline


def test_numbers_are_found_in_texts():
    assert [sort_key(v) for v in ("0.725 ± 0.1", "0.90 (0.8 to 1)", "-1,234.5", "1e-05 s")] == [
        "0.725", "0.90", "-1234.5", "1e-05",
    ]  # fmt: skip
    assert [sort_key(v) for v in ("–", None, float("nan"))] == ["", "", ""]
    assert sort_key("2x words") == "2x words"
    assert float(sort_key("-1.7% [-3%, 0%]")) == -0.017  # beside shares of 1


def test_sections_have_an_order_and_a_name_of_their_own():
    sections = all_sections()
    assert len({s.order for s in sections}) == len({s.name for s in sections}) == len(sections)


def test_a_page_without_a_headline_names_no_problem_of_it(results):
    (results / "tiny" / "seed0" / "records.jsonl").unlink()
    read = read_results(results)
    assert "headline" not in {name for name, _ in every_table(read)}
    assert read.problems == ["there are no records of runs below results"]
