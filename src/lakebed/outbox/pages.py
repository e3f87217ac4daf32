"""Rows that were read again become what a task would have noted."""

import pyarrow as pa
import pyarrow.compute as pc

from lakebed.kinds import KINDS
from lakebed.kinds.tables import CUT
from lakebed.outbox.blocks import COLUMNS, Noted, Shape
from lakebed.ports.catalog.outbox import Gives
from lakebed.ports.question import Page
from lakebed.vocabulary.times import SECOND


def noted_of(page: Page, gives: Gives) -> Noted:
    """What a page holds, as far as a follower asks for it."""
    policy, rows = page.question.policy, page.rows
    answers = KINDS[policy.keep].answers
    if answers == "windows":
        complete = rows["complete"].cast(pa.uint8())
        cut = pc.multiply(rows["cut"].cast(pa.uint8()), pa.scalar(CUT, pa.uint8()))
        state = pc.bit_wise_or(complete, cut)
        seconds = (pc.divide(rows[name], SECOND) for name in ("start", "end"))
        named = [rows["topic"], rows["field"], *seconds, state]
        found = pa.table(dict(zip(COLUMNS["windows"], named, strict=True)))
        if gives == "finished":
            found = found.filter(pc.greater(found["complete"], 0))
        return Noted("windows", policy.version, found)
    shape: Shape = "values" if answers == "values" else "records"
    names = [name for name in COLUMNS[shape] if name in rows.column_names]
    return Noted(shape, policy.version, rows.select(names))
