"""What every part says of itself."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Health:
    """What `/readyz` and `doctor` show of a part; `detail` are figures such as bytes and limits."""

    ok: bool
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
