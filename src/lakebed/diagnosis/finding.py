"""The result of one check of `doctor`."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "note", "bad"]
_MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, with advice.

    Attributes:
        state: `bad` makes doctor say no; a `note` is worth knowing.
        advice: what to do, if anything.
    """

    part: str
    state: State
    text: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    def as_line(self) -> str:
        advice = f"\n     {'':10} do: {self.advice}" if self.advice else ""
        return f"{_MARKS[self.state]} {self.part:10} {self.text}{advice}"


def ok(part: str, text: str) -> Finding:
    return Finding(part, "ok", text)


def note(part: str, text: str, advice: str = "") -> Finding:
    return Finding(part, "note", text, advice)


def bad(part: str, text: str, advice: str = "") -> Finding:
    return Finding(part, "bad", text, advice)
