"""The fixture ``reference``: tests are no package, so a shared module is loaded by its path."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    path = Path(__file__).with_name("reference.py")
    spec = importlib.util.spec_from_file_location("theory_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
