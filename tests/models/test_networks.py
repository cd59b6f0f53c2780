"""Networks as diffusers builds them, and settings that are none."""

import pytest

from wildmiddle.models.networks import LAPTOP, PAPER, SMALL, Network, build, channels_first


def parameters(network, image_shape) -> int:
    torch = pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    with torch.device("meta"):
        return sum(p.numel() for p in build(network, image_shape).parameters())


@pytest.mark.parametrize(
    ("network", "shape", "low", "high"),
    [
        (LAPTOP, (8, 8), 250_000, 700_000),
        (SMALL, (32, 32, 3), 2e6, 9e6),
        (PAPER, (32, 32, 3), 50e6, 60e6),
    ],
)
def test_named_networks_have_the_size_that_they_claim(network, shape, low, high) -> None:
    assert low <= parameters(network, shape) <= high


def test_every_setting_reaches_diffusers() -> None:
    pytest.importorskip("diffusers")
    network = Network(
        widths=(8, 16, 24),
        layers=2,
        attention=(True, False, False),
        head_dim=4,
        dropout=0.25,
        groups=2,
        classes=3,
        scale_shift=True,
    )
    config = build(network, (3, 12, 8)).config
    assert (config.in_channels, config.out_channels, config.sample_size) == (3, 3, (12, 8))
    assert config.block_out_channels == (8, 16, 24)
    assert config.layers_per_block == 2
    assert config.down_block_types == ("AttnDownBlock2D", "DownBlock2D", "DownBlock2D")
    assert config.up_block_types == ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D")
    assert config.add_attention is False
    assert (config.attention_head_dim, config.norm_num_groups) == (4, 2)
    assert (config.dropout, config.num_class_embeds) == (0.25, 3)
    assert config.resnet_time_scale_shift == "scale_shift"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 6), (1, 8, 6)), ((8, 6, 3), (3, 8, 6)), ((3, 8, 6), (3, 8, 6)), ((8, 6, 1), (1, 8, 6))],
)
def test_channels_are_found(shape, expected) -> None:
    assert channels_first(shape) == expected


@pytest.mark.parametrize("shape", [(64,), (8, 8, 8), (1, 8, 8, 1), ()])
def test_shapes_that_are_no_images_are_refused(shape) -> None:
    with pytest.raises(ValueError, match=r"give \(H, W\), \(H, W, C\)"):
        channels_first(shape)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (), "attention": ()}, "widths"),
        ({"widths": (16, 0)}, "widths"),
        ({"attention": (True,)}, r"attention = \(True,\) for 2 widths"),
        ({"groups": 7}, "groups = 7 must divide each of the widths"),
        ({"groups": 0}, "groups = 0"),
        ({"head_dim": 7}, r"head_dim = 7 must divide each of the widths \(40,\)"),
        ({"layers": 0}, "layers = 0"),
        ({"classes": -1}, "classes = -1"),
        ({"dropout": 1.0}, r"dropout = 1\.0"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        Network(**settings)


def test_images_that_cannot_be_halved_are_refused() -> None:
    pytest.importorskip("diffusers")
    with pytest.raises(ValueError, match="multiples of 2"):
        build(LAPTOP, (9, 9))


def test_the_paper_network_is_the_published_one() -> None:
    # Karras et al. 2022, Table 7: DDPM++ for CIFAR-10, 4 blocks of 256 channels in each resolution.
    assert (
        Network((256, 256, 256), 4, (False, True, False), head_dim=256, dropout=0.13, groups=32)
        == PAPER
    )
