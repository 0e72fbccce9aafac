"""The catalogue: what is sold and who buys, read from a workspace with every mistake refused at once."""

from assets.core.catalogue.loading import load
from assets.core.catalogue.models import Catalogue, ClosedPeriod

__all__ = ["Catalogue", "ClosedPeriod", "load"]
