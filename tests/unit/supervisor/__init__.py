"""Tests of the master, most of them stories."""

import pytest

pytest.register_assert_rewrite("tests.unit.supervisor.story")
