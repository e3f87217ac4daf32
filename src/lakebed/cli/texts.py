"""Files that come with the commands."""

from importlib.resources import files


def text_of(name: str) -> str:
    """The text of a file of this package, such as `demo.yaml`."""
    return files("lakebed.cli").joinpath(name).read_text(encoding="utf-8")
