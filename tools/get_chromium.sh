#!/bin/sh
# Chromium for the browser tests, where it is missing and can be had: Debian or Ubuntu, as root, within a few minutes.
# Never an error: the tests say themselves what was not opened.
for b in chromium chromium-browser google-chrome; do command -v "$b" >/dev/null 2>&1 && exit 0; done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing chromium for the browser tests (a minute or two; at most six)" >&2
    export DEBIAN_FRONTEND=noninteractive
    timeout 90 apt-get update -qq >/dev/null 2>&1
    timeout 270 apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1 && exit 0
fi
echo "warning: chromium is not installed and could not be; the browser tests will be skipped (Debian: sudo apt-get install chromium)" >&2
exit 0
