"""A format that cannot be written is found out before the first request."""

from __future__ import annotations

import pytest

from granian_d.observe.access_log import check_format


def test_a_format_that_is_no_unicode_is_refused():
    """Arguments and variables that are not UTF-8 come with surrogates (PEP 383).

    Accepted, it would fail in `AccessLog.write`, with every exchange that ends.
    """
    with pytest.raises(ValueError):
        check_format("\udcff %(status)d")
