"""How long answers of the API take to begin; those to messages take as long as their appends."""

import time
from collections.abc import Callable, Iterator

from lakebed.http.asgi import Message, Send
from lakebed.ports.metrics import HistogramMetric, Sample

REQUEST = HistogramMetric(
    "lakebed_api_request_seconds",
    "How long requests to the API and for pages took until their answer began, by its status.",
    ("status",),
)
_CLASSES = ("2xx", "3xx", "4xx", "5xx")


class RequestTimes:
    """Observes the begin of answers. Event loop; any thread reads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._found = {name: REQUEST.distribution() for name in _CLASSES}

    def timed(self, send: Send) -> Send:
        """What a request that has just come is answered by."""
        started = self._monotonic()

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                name = f"{message['status'] // 100}xx"
                if (found := self._found.get(name)) is not None:
                    found.observe(self._monotonic() - started)
            await send(message)

        return observed

    def metrics(self) -> Iterator[Sample]:
        for name, found in self._found.items():
            yield found.sample(name)
