"""What tests that need root and system programs skip without."""

import os
import shutil

import pytest


def need_root_and(*programs):
    """Skip, and say why, unless this is root on a machine that has some programs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs the program {program}")
