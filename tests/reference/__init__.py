"""The rules of Tallyhouse a second time, in plain Python, row by row, for the warehouse to be held against.

It shares no code with the product: where both say the same amount, two readings of the rules agree.
"""

from tests.reference.exact import Refusal
from tests.reference.night import Books, Reference, bill

__all__ = ["Books", "Reference", "Refusal", "bill"]
