"""The health of a part of the process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lakebed.ports.metrics import Sample


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a part, as `/readyz` and `doctor` show it.

    Attributes:
        detail: figures and words for people.
        samples: those of the figures that are metrics.
    """

    ok: bool
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
