"""How the tests of data sets look at a refusal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wildmiddle.empirical.data import DataError, load


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """The message with which ``load`` refuses a source: one line that holds every fragment."""

    def check(source: str | Path, *fragments: str, **options: Any) -> str:
        with pytest.raises(DataError) as caught:
            load(source, **options)
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        assert [f for f in fragments if f not in message] == [], message
        return message

    return check
