"""Outputs of every stage at nano."""

import json

from tests.fingerprints import COMMITTED, all_fingerprints, differences


def test_stage_outputs_are_the_committed_fingerprints(nano):
    committed, now = json.loads(COMMITTED.read_text()), all_fingerprints(nano[0])
    advice = (
        "; if it is meant, raise the stage's version and run `python -m tests.fingerprints STORE`"
    )
    assert sorted(now) == sorted(committed), "stages came or went" + advice
    for role, print_ in now.items():
        old = committed[role]
        assert (print_["version"], print_["key"]) == (old["version"], old["key"]), (
            f"{role}: another key" + advice
        )
        assert differences(old["files"], print_["files"]) == [], f"{role} changed" + advice


def test_fingerprints_see_a_small_change(nano):
    """One stage's weights do not pass for another's, nor one arm's metrics for another's."""
    now = {role: print_["files"] for role, print_ in all_fingerprints(nano[0]).items()}
    assert all(now.values())
    assert differences(now["base_dit"], now["control"])
    assert differences(now["reconstruction"], now["no_detail"])
    moved = json.loads(json.dumps(now["reconstruction"]))
    assert differences(now["reconstruction"], moved) == []
    moved["metrics.json davae psnr_db"][0] += 1.0
    assert differences(now["reconstruction"], moved) == ["metrics.json davae psnr_db"]
