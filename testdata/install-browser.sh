#!/usr/bin/env bash
# Installs what the tests of the site need and the machine lacks, with the packages of Debian and Ubuntu: install-browser.sh
set -euo pipefail

missing=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v npm >/dev/null || missing+=(npm)
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "install ${missing[*]}, which the tests of the site need, with the packages of this system" >&2
  exit 1
fi
as=()
if [ "$(id -u)" -ne 0 ]; then as=(sudo); fi
echo "installing ${missing[*]}" >&2
"${as[@]}" apt-get update -qq
"${as[@]}" apt-get install -y -qq "${missing[@]}"
