#!/usr/bin/env bash
# Memory errors and leaks: the libraries' tests under AddressSanitizer with LeakSanitizer.
exec "$(dirname "${BASH_SOURCE[0]}")/sanitizer.sh" address
