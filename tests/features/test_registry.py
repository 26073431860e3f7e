"""Extractors by name and options."""

import pytest

from davae.features.registry import open_extractor, parse, with_option


def test_options_follow_a_colon():
    extractor = open_extractor("effnet_lite0:input_px=64,blocks=8")
    assert (extractor.name, extractor.dimensions) == ("effnet_lite0-b8", 80)
    assert extractor.resize.endswith("64 px")
    assert extractor.metric_name("fd") == "fd_effnet"
    assert parse(with_option("effnet_lite0:blocks=8", "blocks", "3"))[1] == {"blocks": "3"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet", "extractors: effnet_lite0"),
        ("effnet_lite0:blocks", "options are written NAME=VALUE"),
        ("effnet_lite0:depth=3", r"has no option depth; .* input_px=224, blocks=15"),
        ("effnet_lite0:blocks=many", "blocks is 'many'; it is of type int"),
        ("inception_clean:blocks=3", "options, with their defaults: none"),
    ],
)
def test_what_is_not_understood_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        open_extractor(spec)
