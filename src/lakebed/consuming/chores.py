"""Further work of a consumer in each turn of its loop, besides reading and writing."""

from lakebed.vocabulary.times import Micros


class Chore:
    """Base of chores: does nothing. A chore overrides what it needs. On the loop's thread."""

    def before_poll(self) -> None:
        """Called before each poll, for requests that concern all that is in the journal now."""

    def before_absorb(self, now: Micros, caught_up: bool) -> None:
        """Called before entries are absorbed, to change how they are absorbed.

        Args:
            now: the wall clock.
            caught_up: whether everything in the journal has been absorbed.
        """

    def after_write(self, now: Micros, caught_up: bool) -> None:
        """Called when everything that was due has been written.

        Args:
            now: everything received before it has been absorbed.
            caught_up: as in `before_absorb`.
        """
