"""Translates Kafka's errors into those of Lakebed; no other file does."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from lakebed.vocabulary.errors import Fatal, JournalFailed, Problem, SettingsError, StoreUnavailable

_WRONG_SETTINGS = {
    KafkaError._INVALID_ARG,
    KafkaError._CONFLICT,
    KafkaError._NOT_IMPLEMENTED,
}
_HOPELESS = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_VERSION,
}


def text(error: KafkaError) -> str:
    return f"{error.str()} ({error.name()})"


def of(exception: KafkaException) -> KafkaError:
    found = exception.args[0]
    assert isinstance(found, KafkaError)
    return found


def is_hopeless(error: KafkaError) -> bool:
    """Whether a retry cannot succeed."""
    return error.fatal() or error.code() in _HOPELESS


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Translate errors while the process runs.

    Raises:
        StoreUnavailable: a retry may succeed.
        JournalFailed: a retry cannot succeed.
    """
    try:
        yield
    except KafkaException as exception:
        error = of(exception)
        message = f"the journal at Kafka: {doing}: {text(error)}"
        if is_hopeless(error):
            raise JournalFailed(message) from exception
        raise StoreUnavailable(message) from exception
    except TimeoutError as error:
        raise StoreUnavailable(f"the journal at Kafka: {doing}: no answer") from error


@contextmanager
def opening() -> Iterator[None]:
    """Translate errors while the journal is opened.

    Raises:
        SettingsError: the settings are wrong.
        Fatal: Kafka does not answer, or refuses.
    """
    try:
        yield
    except KafkaException as exception:
        error = of(exception)
        if error.code() in _WRONG_SETTINGS:
            raise SettingsError(Problem("journal.url", text(error))) from exception
        raise Fatal(f"the journal at Kafka does not open: {text(error)}") from exception
    except TimeoutError as error:
        raise Fatal("the journal at Kafka does not open: no answer") from error
