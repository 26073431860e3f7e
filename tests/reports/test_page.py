"""The page, as text."""

import re
from html import escape

import pandas as pd
import pytest

from davae.analysis.findings import Claim, findings_table, judge_all
from davae.core import records
from reports.build import page, write
from reports.html import sort_key
from reports.results import read_results
from reports.section import all_sections
from reports.sections.full_size import full_size_table, ratios
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
    assert "<strong>Holds (1):</strong>" in text
    assert ", by 2 of 3 networks)" in text
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


def test_sections_have_an_order_and_a_name_of_their_own():
    sections = all_sections()
    assert len({s.order for s in sections}) == len({s.name for s in sections}) == len(sections)
