import threading
from pathlib import Path

import pytest

from lakebed.system.threads import name_this_thread


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux shows threads there")
def test_a_thread_shows_its_name_to_the_operating_system() -> None:
    found: list[str] = []

    def work() -> None:
        name_this_thread("a name that is far too long")
        task = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        found.append(task.read_text().rstrip("\n"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["a name that is "]
