from __future__ import annotations

import socket

import pytest

from vaa.models.server.network import find_proxy, is_this_machine


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost.", "a.localhost", "127.0.0.1", "127.8.9.1", "127.1", "0.0.0.0", "::1", "0x7f000001"],
)
def test_loopback_names_and_addresses_are_this_machine(host: str) -> None:
    assert is_this_machine(host)


def test_the_own_host_name_is_this_machine_where_it_resolves_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Worker7.cluster.example")
    addresses = {"worker7.cluster.example": "127.0.1.1", "worker7": "127.0.1.1", "worker7.local": "203.0.113.5"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [(2, 1, 6, "", (addresses[host], 0))])
    assert is_this_machine("worker7.cluster.example")
    assert is_this_machine("WORKER7")
    assert not is_this_machine("worker7.local")
    assert not is_this_machine("worker8")


@pytest.mark.parametrize(
    "host", ["example.invalid", "203.0.113.5", "2001:db8::1", "localhost.example.invalid", "127.0.0.1.nip.io", ""]
)
def test_other_hosts_are_not(host: str) -> None:
    assert not is_this_machine(host)


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://h/v1", {}, None),
        ("https://h/v1", {"HTTPS_PROXY": "http://p:1"}, "http://p:1 (HTTPS_PROXY)"),
        ("https://h/v1", {"https_proxy": "p:1"}, "http://p:1 (https_proxy)"),
        ("https://h/v1", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://h/v1", {"HTTP_PROXY": "http://u:w@p:1/"}, "http://p:1 (HTTP_PROXY)"),
        ("https://h/v1", {"ALL_PROXY": "socks5://p:1"}, "socks5://p:1 (ALL_PROXY)"),
        ("https://h/v1", {"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://p:1"}, "http://p:1 (HTTPS_PROXY)"),
        ("https://h/v1", {"ALL_PROXY": "http://a:1", "NO_PROXY": "x, h"}, None),
        ("https://a.h/v1", {"ALL_PROXY": "http://a:1", "NO_PROXY": ".h"}, None),
        ("https://h/v1", {"ALL_PROXY": "http://a:1", "no_proxy": "*"}, None),
        ("https://10.1.2.3/v1", {"ALL_PROXY": "http://a:1", "NO_PROXY": "x,10.0.0.0/8"}, None),
        ("https://11.1.2.3/v1", {"ALL_PROXY": "http://a:1", "NO_PROXY": "x/y,10.0.0.0/8"}, "http://a:1 (ALL_PROXY)"),
        ("http://127.0.0.1:8000/v1", {"ALL_PROXY": "http://a:1", "HTTP_PROXY": "http://a:1"}, None),
        ("https://[::1]:8000/v1", {"ALL_PROXY": "http://a:1"}, None),
    ],
)
def test_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = find_proxy(url)
    assert (found and str(found)) == proxy
