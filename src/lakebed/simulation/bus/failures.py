"""What goes wrong on request."""

import random
import time
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Failures:
    """Shares of requests are from 0 to 1.

    Attributes:
        errors: answered with 503.
        delay: seconds before each answer.
        hang: share of requests that are not answered for a minute.
        drop: whose connection ends, half of them within the answer.
        duplicates: share of events that are delivered twice.
        late: share of made events whose time lies back.
        malformed: share of made events that are none.
    """

    errors: float = 0.0
    delay: float = 0.0
    hang: float = 0.0
    drop: float = 0.0
    duplicates: float = 0.0
    late: float = 0.0
    malformed: float = 0.0

    def change(self, document: Any) -> None:
        """Take over shares that a document names.

        Raises:
            ValueError: it names others, or what is no share.
        """
        if not isinstance(document, dict) or not document.keys() <= asdict(self).keys():
            raise ValueError(f"an object of {', '.join(asdict(self))}")
        for name, value in document.items():
            most = 60.0 if name == "delay" else 1.0
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0 <= value <= most
            ):
                raise ValueError(f"{name} is a number from 0 to {most:g}")
        for name, value in document.items():
            setattr(self, name, float(value))

    def happens(self, share: float) -> bool:
        return share > 0 and random.random() < share  # noqa: S311

    def sleep(self) -> None:
        if self.delay:
            time.sleep(self.delay)
