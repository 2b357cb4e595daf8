"""The trainable choices and their relaxations: how much of each candidate flows, and which run at all."""

from archgrad.choices.clipped import Clipped
from archgrad.choices.concrete import Concrete
from archgrad.choices.dirichlet import Dirichlet
from archgrad.choices.mixing import Mixing, Support, full_support, transit
from archgrad.choices.progress import Progress
from archgrad.choices.relaxation import Relaxation
from archgrad.choices.softmax import Softmax
from archgrad.choices.sparse import Sparse
from archgrad.choices.table import ChoiceTable, as_table
from archgrad.choices.tables import Choices

__all__ = [
    "ChoiceTable",
    "Choices",
    "Clipped",
    "Concrete",
    "Dirichlet",
    "Mixing",
    "Progress",
    "Relaxation",
    "Softmax",
    "Sparse",
    "Support",
    "as_table",
    "full_support",
    "transit",
]
