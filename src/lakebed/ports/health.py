"""The health of a part of the process."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a part, as `/readyz` and `doctor` show it; `detail` has figures."""

    ok: bool
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
