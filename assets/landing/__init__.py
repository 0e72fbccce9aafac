"""Landing: raw files become exact usages, one row each, in `landing.batch`."""

from assets.landing.land import Landed, LandedFile, land
from assets.landing.links import clear_links
from assets.landing.tables import clear_batch, ensure_tables
from assets.landing.texts import raw_texts

__all__ = ["Landed", "LandedFile", "clear_batch", "clear_links", "ensure_tables", "land", "raw_texts"]
