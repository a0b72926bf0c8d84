#!/usr/bin/env bash
# Data races: the libraries' tests under ThreadSanitizer.
exec "$(dirname "${BASH_SOURCE[0]}")/sanitizer.sh" thread
