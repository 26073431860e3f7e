"""A base model of one's own: here a LightningDiT that is half as wide."""

from dataclasses import replace

from davae.models.families import lightning
from davae.models.families.registry import register


def network(config, channels, side, classes):
    narrow = replace(config, hidden_size=config.hidden_size // 2)
    return lightning.network(narrow, channels, side, classes)


register(replace(lightning.FAMILY, name="narrow", network=network))
