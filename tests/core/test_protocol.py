"""Protocols."""

import pytest

from davae.core.records import Protocol, check_same


def test_protocols_hash_what_they_hold_and_refuse_to_mix():
    base = {
        "extractor": "e",
        "weights": "w",
        "dimensions": 4,
        "resize": "r",
        "quantisation": "q",
        "ddof": 1,
    }
    a = Protocol(**base, reference="x", samples=10).label()
    assert a == Protocol(**base, reference="x", samples=10).label()
    b = Protocol(**{**base, "ddof": 0}, reference="x", samples=10).label()
    assert a != b
    check_same([a, a])
    with pytest.raises(ValueError, match="different protocols"):
        check_same([a, b])
