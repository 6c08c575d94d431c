"""Without a sandbox, no client may make a context that goes its own way."""

from __future__ import annotations

import json

import pytest

from chaser_server.chromium.guard import asks_for_own_proxy

OWN_PROXY = {"id": 1, "method": "Target.createBrowserContext", "params": {"proxyServer": "direct://"}}


@pytest.mark.parametrize(
    "message",
    [
        json.dumps(OWN_PROXY),
        json.dumps(OWN_PROXY).replace("proxyServer", "proxy\\u0053erver"),
        '{"id":1,"method":"Target.createBrowserContext","params":{"proxyServer":"x"},"params":{}}',
        '{"id":1,"method":"Target.createBrowserContext","method":"Browser.getVersion","params":{"proxyServer":"x"}}',
        json.dumps({"id": 2, "method": "Target.sendMessageToTarget", "params": {"message": json.dumps(OWN_PROXY)}}),
        json.dumps(OWN_PROXY).replace("direct", "direct\t").replace("\\t", "\t"),  # Chromium 156 reads this
        json.dumps({"id": 2, "method": "Target.exposeDevToolsProtocol", "params": {"targetId": "1"}}),
        "not json",
        "[" * 100_000,
        json.dumps({"id": 2, "method": "Target.sendMessageToTarget", "params": {"message": "\ud800"}}),
    ],
)
def test_every_way_to_a_proxy_of_its_own_is_seen_and_what_cannot_be_read_is_taken_for_one(message: str) -> None:
    assert asks_for_own_proxy(message.encode())


@pytest.mark.parametrize(
    "message",
    [
        json.dumps({"id": 1, "method": "Target.createBrowserContext", "params": {"disposeOnDetach": True}}),
        json.dumps({"id": 1, "method": "Runtime.evaluate", "params": {"expression": json.dumps(OWN_PROXY)}}),
    ],
)
def test_other_messages_pass(message: str) -> None:
    assert not asks_for_own_proxy(message.encode())
