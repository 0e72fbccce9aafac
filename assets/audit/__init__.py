"""A closed month as a bundle that proves itself: all that went in, all that came out, and a way to do it again.

The bundle is one file, the same bytes whenever it is made from the same books. Replayed on another machine it runs the
nights from their raw files, catalogues and account files, and must come to the same tables, byte for byte.
"""

from __future__ import annotations

from assets.audit.bundle import Bundled, bundle
from assets.audit.replay import Replayed, replay

__all__ = ["Bundled", "Replayed", "bundle", "replay"]
