"""The devices on which a test of a device runs: always the CPU, and a GPU with `-m gpu`."""

import pytest

DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))
