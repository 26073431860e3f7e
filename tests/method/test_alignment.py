import pytest
import torch

from davae.method.alignment import (
    LearnedProjection,
    alignment_loss,
    cosine_distance_loss,
    group_sizes,
    orthogonal,
    project,
    repeat_to_detail,
)


def test_consecutive_channels_average_into_one_base_channel():
    detail = torch.arange(6.0).view(1, 6, 1, 1)  # groups (0, 1, 2) and (3, 4, 5)
    assert project(detail, 2).flatten().tolist() == [1.0, 4.0]


def test_uneven_groups_are_one_longer_at_the_front():
    assert group_sizes(7, 3) == [3, 2, 2]
    detail = torch.tensor([3.0, 6.0, 9.0, 1.0, 2.0, 5.0, 8.0]).view(1, 7, 1, 1)
    assert project(detail, 3).flatten().tolist() == [6.0, 1.5, 6.5]


def projection_matrix(wide, base):
    """Proj of Eq. 4 as a matrix [C, D]: row i averages the consecutive channels of group i."""
    matrix, start = torch.zeros(base, wide), 0
    for i, size in enumerate(group_sizes(wide, base)):
        matrix[i, start : start + size] = 1.0 / size
        start += size
    return matrix


@pytest.mark.parametrize(("wide", "base"), [(12, 4), (16, 16), (7, 3), (13, 4)])
def test_projection_is_the_matrix_and_repeat_is_its_right_inverse(wide, base):
    detail = torch.randn(2, wide, 3, 5, generator=torch.Generator().manual_seed(0))
    by_matrix = torch.einsum("cd,bdhw->bchw", projection_matrix(wide, base), detail)
    torch.testing.assert_close(project(detail, base), by_matrix)
    z = torch.randn(2, base, 3, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(project(repeat_to_detail(z, wide), base), z)
    assert project(orthogonal(detail, base), base).abs().max() < 1e-6


def test_fewer_detail_than_base_channels_is_refused():
    with pytest.raises(ValueError, match="3 channels cannot be grouped onto 4"):
        project(torch.zeros(1, 3, 1, 1), 4)


def test_loss_is_one_for_the_mean_and_zero_for_a_copy():
    z = (
        torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0, 3.0, 0.1, 7.0])[:, None, None]
    )
    centred = z - z.mean((0, 2, 3), keepdim=True)
    variance = centred.square().mean((0, 2, 3))
    assert float(alignment_loss(torch.zeros(64, 12, 8, 8), centred, variance)) == pytest.approx(
        1.0, rel=1e-5
    )
    assert float(alignment_loss(repeat_to_detail(centred, 12), centred, variance)) == pytest.approx(
        0.0, abs=1e-9
    )


def test_loss_by_hand_with_unequal_variances():
    detail = torch.tensor([1.0, 3.0, 10.0, 20.0]).view(1, 4, 1, 1)  # projects to 2 and 15
    base = torch.tensor([0.0, 9.0]).view(1, 2, 1, 1)
    assert float(alignment_loss(detail, base, torch.tensor([4.0, 12.0]))) == pytest.approx(
        (4 / 4 + 36 / 12) / 2
    )


@pytest.mark.parametrize(("wide", "base"), [(12, 4), (7, 3)])
def test_a_learned_projection_starts_as_the_group_mean(wide, base):
    detail = torch.randn(2, wide, 3, 5, generator=torch.Generator().manual_seed(0))
    projection = LearnedProjection(wide, base)
    torch.testing.assert_close(projection(detail), project(detail, base))


def test_cosine_and_distance_terms_by_hand():
    base = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).T.reshape(1, 2, 1, 2)  # positions at right angles
    assert cosine_distance_loss(base, base) == 0
    # opposite at every position: 1 - 0.5 - (-1) = 1.5; the positions are at right angles still
    assert cosine_distance_loss(-base, base) == pytest.approx(1.5)
    # both positions along (1, 1): cosine 1 / sqrt 2 to each, above the margin; their own cosine is
    # 1 where the base's is 0, so that two pairs of four are 1 - 0.25 off
    same = torch.ones(1, 2, 1, 2)
    assert cosine_distance_loss(same, base) == pytest.approx(2 * 0.75 / 4)
