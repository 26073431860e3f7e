"""The page, as text."""

import re
from html import escape

import pytest

from reports.build import page, write
from reports.section import all_sections
from tests.reports.conftest import MARKUP


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
    assert "published for SD3.5-Medium on an A100, not measured here" in text


def test_missing_and_damaged_files_are_said(results, tmp_path):
    ablation = results / "tiny" / "ablations" / "toy" / "records.jsonl"
    ablation.write_text("{broken\n{}\n")
    (results / "suite.benchmark.json").write_text('{"benchmarks": [')
    text = page(results)
    assert "tiny/ablations/toy/records.jsonl could not be read" in text
    assert "suite.benchmark.json could not be read" in text
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "there are no records of runs below empty" in page(empty)
    with pytest.raises(ValueError, match="is no folder"):
        page(tmp_path / "nowhere")


def test_sections_have_an_order_and_a_name_of_their_own():
    sections = all_sections()
    assert len({s.order for s in sections}) == len({s.name for s in sections}) == len(sections)
