"""Rows in PostgreSQL, each once in effect.

send:  begin
         lock and move the position, unless another holder has taken over
         insert … on conflict (key) do update, all records in one statement
       commit                                   all of it counts, or nothing

columns.py   what a record gives for each column, and how a table is made
table.py     the table as it is: its columns, its statement
positions.py the table `lakebed_relay_positions`
target.py    the target
"""

from lakebed.relays.targets.postgres.target import KIND

__all__ = ["KIND"]
