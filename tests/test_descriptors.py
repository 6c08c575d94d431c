"""How many files the server may have open."""

from __future__ import annotations

import resource

from chaser_server.descriptors import allow_many


def test_more_files_may_be_open_than_a_shell_allows_at_first() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        allow_many()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
