"""A metric of one's own, registered from outside the package."""

from davae.core.records import Measurement
from davae.metrics.metric import Metric
from davae.metrics.registry import register


def spread(pair):
    return Measurement("spread", float(pair.images.std(0).mean()), len(pair.images))


register(Metric("spread", "features", 2, None, spread, "mean deviation of the features"))
