"""The generated tables of README and docs."""

from pathlib import Path

import pytest

from reports.readme import BLOCK, rewritten, update
from reports.results import read_results

ROOT = Path(__file__).parents[2]


def test_the_committed_tables_are_those_of_the_committed_records():
    results = read_results(ROOT / "results")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text()
        assert rewritten(text, results) == text, f"{path.name}: run `python -m reports --readme`"
    assert BLOCK.search((ROOT / "README.md").read_text())


def test_only_blocks_are_written_again(results, tmp_path):
    top = tmp_path / "checkout"
    (top / "docs").mkdir(parents=True)
    before = "a\n<!-- generated: {} -->\nold\n<!-- end generated -->\nb 0.5\n"
    (top / "README.md").write_text(before.format("headline"))
    (top / "docs" / "page.md").write_text(before.format("runs:tiny"))
    (top / "docs" / "other.md").write_text("no block\n")
    changed = update(results, top)
    assert [path.name for path in changed] == ["README.md", "page.md"]
    text = (top / "README.md").read_text()
    assert text.startswith("a\n<!-- generated: headline -->\n| SD3.5")
    assert text.endswith("<!-- end generated -->\nb 0.5\n")
    assert "lines 0.90 (0.90 to 0.90)" in text
    assert "| adapted with DA-VAE | 0.9 | 0.9 |" in (top / "docs" / "page.md").read_text()
    assert update(results, top) == []
    with pytest.raises(ValueError, match="there is no block 'nothing'"):
        rewritten(before.format("nothing"), read_results(results))
    with pytest.raises(ValueError, match="no runs of small"):
        rewritten(before.format("runs:small"), read_results(results))
    with pytest.raises(ValueError, match=r"there is no .*none\.csv"):
        rewritten(before.format("file:none.csv"), read_results(results))


def test_a_file_of_the_results_is_a_block(results):
    (results / "noise.csv").write_text("case,ok %\na,99.5\n")
    (results / "said.md").write_text("**ok**\n")
    found = read_results(results)
    block = "<!-- generated: file:{} -->\n<!-- end generated -->"
    assert "| a | 99.5 |\n" in rewritten(block.format("noise.csv"), found)
    assert "-->\n**ok**\n<!--" in rewritten(block.format("said.md"), found)
