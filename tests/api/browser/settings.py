"""What the tests in a browser share: the browser, the tracks and the marks."""

from __future__ import annotations

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TRACK = "digits-b0-inc2-m50-convnet"
SMALLER = "digits-b0-inc2-m20-convnet"
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed; `sh tests/browser.sh` installs it"
    ),
    # what a browser shows does not depend on the database
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.xdist_group("browser"),
]
"""For every module of this folder."""
