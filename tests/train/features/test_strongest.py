"""The nine strongest photos of each channel are kept, with their places, while photos stream by."""

import torch

from train.features.field import Window
from train.features.report import count_common
from train.features.strongest import KEPT, Strongest

PIXEL = [Window(1)]


def stream(maps, windows=PIXEL):
    strongest = Strongest(windows)
    for number, activations in enumerate(maps):
        strongest.add(number, activations[None], tuple(activations.shape[1:]))
    return strongest


def test_the_nine_largest_are_kept_in_order_with_their_places():
    generator = torch.Generator().manual_seed(3)
    maps = torch.rand(30, 5, 4, 6, generator=generator)
    strongest = stream(maps)
    assert strongest.values.shape == (5, KEPT)
    for channel in range(5):
        largest = maps[:, channel].flatten(1).max(1).values
        order = largest.argsort(descending=True)[:KEPT]
        assert strongest.photos[channel].tolist() == order.tolist()
        for rank, (row, column) in enumerate(strongest.places[channel].tolist()):
            assert maps[order[rank], channel, row, column] == strongest.values[channel, rank]


def test_a_channel_that_no_photo_excites_is_dead_and_not_among_the_strongest():
    maps = torch.zeros(3, 4, 2, 2)
    maps[1, 2, 0, 1] = 5
    maps[2, 0, 1, 1] = 1
    strongest = stream(maps)
    assert strongest.dead == [1, 3]
    assert strongest.excited.tolist() == [1, 0, 1, 0]
    assert strongest.rank_channels(4) == [2, 0]
    assert strongest.rank_channels(1) == [2]


def test_units_that_see_padding_do_not_count_but_keep_a_channel_alive():
    maps = torch.zeros(1, 2, 6, 6)
    maps[0, 0, 0, 3] = 9
    maps[0, 0, 2, 4] = 4
    maps[0, 1, 5, 5] = 7
    strongest = stream(maps, [Window(3, padding=1)])
    assert strongest.places[0, 0].tolist() == [2, 4]
    assert strongest.values[:, 0].tolist() == [4, 0]
    assert strongest.dead == []


def test_where_all_units_see_padding_all_count():
    maps = torch.zeros(1, 1, 2, 6)
    maps[0, 0, 0, 0] = 9
    maps[0, 0, 1, 3] = 4
    assert stream(maps, [Window(3, padding=1)]).places[0, 0].tolist() == [1, 3]


def test_photos_that_two_networks_have_in_common_are_counted():
    maps = torch.tensor([[3.0, 1.0], [2.0, 0.0], [0.0, 5.0]])[:, :, None, None]
    other = torch.tensor([[1.0, 0.0], [0.0, 4.0], [0.0, 2.0]])[:, :, None, None]
    # Channel 0: photos 0 and 1 against 0; channel 1: 0 and 2 against 1 and 2.
    assert count_common(stream(maps), stream(other)) == 1
    assert count_common(stream(maps), stream(maps)) == 2
