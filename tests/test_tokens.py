"""Identifiers and secrets."""

from __future__ import annotations

import time
import uuid

import pytest

from chaser_server.tokens import is_key, key_hash, key_prefix, new_key, new_uuid7


def test_a_uuid_is_of_version_7_with_the_rfc_variant() -> None:
    for _ in range(100):
        made = uuid.UUID(new_uuid7())
        assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_a_uuid_begins_with_its_milliseconds() -> None:
    assert new_uuid7(0x019EC0D0A88A).startswith("019ec0d0-a88a-7")
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_uuid7()).int >> 80
    assert before <= made <= time.time_ns() // 1_000_000


def test_later_uuids_sort_behind_earlier_ones() -> None:
    made = [new_uuid7(milliseconds) for milliseconds in range(1_700_000_000_000, 1_700_000_000_100)]
    assert made == sorted(made)


def test_uuids_of_one_millisecond_differ() -> None:
    assert len({new_uuid7(1) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_shows_its_mode_and_carries_32_bytes(mode: str) -> None:
    key = new_key(mode)
    assert key.startswith(f"cha_{mode}_")
    assert len(key) == len(f"cha_{mode}_") + 43
    assert is_key(key)


@pytest.mark.parametrize(
    "text",
    ["", "cha_live_", "cha_live_" + "a" * 42, "cha_live_" + "a" * 44, "cha_prod_" + "a" * 43,
     "cha_live_" + "a" * 42 + "=", "cha_live_" + "a" * 42 + "é",
     " cha_live_" + "a" * 43, "cha_live_" + "a" * 43 + "\n"],
)  # fmt: skip
def test_what_has_not_the_form_of_a_key_is_none(text: str) -> None:
    assert not is_key(text)


def test_only_the_first_sixteen_characters_and_a_hash_are_kept() -> None:
    key = new_key()
    assert key_prefix(key) == key[:16]
    assert key not in key_hash(key)
    assert key_hash(key) == key_hash(key) != key_hash(new_key())
