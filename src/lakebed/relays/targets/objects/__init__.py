"""Files in the object store of the instance, whole when they are seen.

    send:  write down what files are about to come      STATE: {position, next, files}
           put each file
           write down that they are there               STATE: {position: next}

    open:  if all files of STATE are there, they count; else they are deleted and come again

formats.py  records as NDJSON, CSV and Parquet
target.py   the target
"""

from lakebed.relays.targets.objects.target import KIND

__all__ = ["KIND"]
