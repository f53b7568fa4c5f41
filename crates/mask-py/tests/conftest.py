"""What the tests share: one detector, and the project's photographs."""

import os
import shutil
from pathlib import Path

import pytest
from mask_detector import Detector

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    return sorted((ROOT / "examples").glob("astronaut*.jpg"))


@pytest.fixture(scope="session")
def masked() -> Path:
    return ROOT / "examples" / "astronaut_masked.jpg"


@pytest.fixture(scope="session")
def program() -> str:
    """The program, whose results are to be the same."""
    path = os.environ.get("MASK_CLI") or shutil.which("mask-cli")
    if path is None:
        pytest.skip("MASK_CLI does not name the program")
    return path
