"""The secret of a source: out of a file or the environment, and nowhere else."""

import os
from pathlib import Path

from lakebed.vocabulary.errors import Unavailable

_LONGEST = 64 * 1024  # bytes


def read(file: Path | None, variable: str | None) -> str:
    """The secret, as it is now: one that is renewed in its file counts at once.

    Raises:
        Unavailable: it cannot be read; the text does not contain it.
    """
    if variable is not None:
        text, where = os.environ.get(variable, ""), f"the variable {variable}"
    else:
        assert file is not None
        where = str(file)
        try:
            with file.open(encoding="utf-8") as opened:
                text = opened.read(_LONGEST)
        except (OSError, UnicodeDecodeError) as error:
            what = getattr(error, "strerror", None) or "it is no text"
            raise Unavailable(f"its secret cannot be read: {where}: {what}") from None
    text = text.strip()
    if not text or not text.isprintable() or not text.isascii():
        raise Unavailable(f"its secret cannot be used: {where} is empty, or no line of ASCII")
    return text
