"""Tables."""

import pandas as pd

from davae.analysis.tables import to_markdown


def test_markdown_by_hand():
    table = pd.DataFrame({"a": ["x", "y"], "b": [1.23456, float("nan")], "c": [10, 20_000]})
    assert to_markdown(table).splitlines()[2:] == ["| x | 1.235 | 10 |", "| y | – | 20,000 |"]
