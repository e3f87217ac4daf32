"""What a consumer does besides reading and writing, in each turn of its loop."""

from lakebed.vocabulary.times import Micros


class Chore:
    """Does nothing; a consumer's chores override what they need. On the loop's thread."""

    def before_poll(self) -> None:
        """The time to take orders that hold for all that is in the journal now."""

    def before_absorb(self, now: Micros, nothing_more: bool) -> None:
        """The time to change how messages are absorbed.

        Args:
            now: the wall clock.
            nothing_more: whether all that was there has been absorbed, and nothing has come.
        """

    def after_write(self, now: Micros, nothing_more: bool) -> None:
        """Everything that was due has been written.

        Args:
            now: everything received before it has been absorbed.
            nothing_more: as above.
        """
