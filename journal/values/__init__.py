"""Live values of state fields, and the rows they are stored in.

A state field of an object is a small set of rows. This package turns the rows into the value a
handler reads, and a value that may since have been changed, by assignment or in place, into the
rows that differ. Noticing a change and writing it cost what was touched, not what the value holds.

It knows no store, no object keys, no tasks and no replay. ``rows`` opens with the grammar of the
bytes, ``field_value`` with the rules of noticing, ``segments`` with how long values are cut.
"""

from .field_value import FieldValue
from .rows import RowChange
from .tracked_dict import TrackedDict
from .tracked_list import TrackedList
from .value_type import Serde, ValueType, make_value_type

__all__ = [
    "FieldValue",
    "RowChange",
    "Serde",
    "TrackedDict",
    "TrackedList",
    "ValueType",
    "make_value_type",
]
