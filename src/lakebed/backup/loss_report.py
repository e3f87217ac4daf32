"""Reports the loss of the series, which `loss.py` records, in health and to administrators."""

from typing import Any

import msgspec

from lakebed.backup import loss as losses
from lakebed.backup.loss import Loss, LossCatalog
from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.health import Health
from lakebed.ports.metrics import GaugeMetric
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import to_rfc3339

MISSING = GaugeMetric(
    "lakebed_series_missing_messages",
    "Messages that a rebuild of the series found in neither backup nor journal.",
)


def health(catalog: NoteStore, series: Health) -> Health:
    """Add what is lost, and how far the rebuild is, to the health of the series."""
    try:
        loss = losses.read(catalog)
        doing = None if loss is None or loss.done else catalog.note(losses.WORK)
    except StoreUnavailable:  # the catalog says so itself
        return series
    if loss is None:
        return series
    if not loss.done:
        step = "waiting for a keeper" if doing is None else msgspec.json.decode(doing)["doing"]
        text = f"being rebuilt ({loss.reason}): {step}"
    else:
        text = f"{loss.description}: when you have seen it, run `lakebed series acknowledge`"
    message = "; ".join(filter(None, (series.message, text)))
    samples = (*series.samples, MISSING(loss.missing))
    return Health(False, message, series.detail | {"missing": loss.missing}, samples)


class Losses:
    """Shows and acknowledges the record of a loss, for administrators."""

    def __init__(self, catalog: LossCatalog) -> None:
        self._catalog = catalog

    def state(self) -> dict[str, Any] | None:
        """The recorded loss; None if nothing is lost."""
        loss = losses.read(self._catalog)
        return None if loss is None else _described(loss)

    def acknowledge(self, missing: int) -> dict[str, Any]:
        """See `loss.acknowledge`."""
        return _described(losses.acknowledge(self._catalog, missing))


def _described(loss: Loss) -> dict[str, Any]:
    return {
        "reason": loss.reason,
        "at": to_rfc3339(loss.at),
        "done": loss.done,
        "rows": loss.rows,
        "missing": loss.missing,
        "since": None if loss.since is None else to_rfc3339(loss.since),
        "until": None if loss.until is None else to_rfc3339(loss.until),
        "backup": loss.backup,
        "aside": loss.renamed_to,
        "trouble": [*loss.trouble, *loss.before],
        "remarks": list(loss.remarks),
    }
