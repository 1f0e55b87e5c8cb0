#!/bin/sh
# Installs Chromium for the browser tests where that is possible; without it those tests skip and say so.
set -eu
if command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests ..."
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || echo "Chromium could not be installed: the browser tests will be skipped."
else
    echo "Chromium is not installed (and apt-get needs root): the browser tests will be skipped."
fi
