"""What of the data is shown."""

import numpy as np

from davae.stages.data import SHOWN_CLASSES, first_of_each, shown_classes


def labelled(folder, heldout, fresh):
    np.save(folder / "heldout_labels.npy", np.array(heldout))
    np.save(folder / "fresh_labels.npy", np.array(fresh))


def test_only_classes_that_are_judged_are_shown(tmp_path):
    labelled(tmp_path, [0, 1, 2, 4, 3], [4, 0, 0, 2, 1])
    assert shown_classes(tmp_path, 0) == [0, 1, 2, 4]
    assert shown_classes(tmp_path, 4) == [0, 2, 4]
    assert first_of_each(np.array([0, 2, 4, 2]), [0, 2, 4]).tolist() == [0, 1, 2, 0, 3, 2] * 2


def test_many_classes_are_shown_evenly(tmp_path):
    labelled(tmp_path, range(1_000), range(1_000))
    shown = shown_classes(tmp_path, 0)
    assert len(shown) == SHOWN_CLASSES
    assert shown[:3] == [0, 31, 62]
