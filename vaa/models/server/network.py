"""The way to a server: whether it is this machine, and which proxy of the environment its requests take."""

from __future__ import annotations

import os
import re
import socket
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from vaa.errors import ConfigError

_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


@dataclass(frozen=True, kw_only=True)
class EnvironmentProxy:
    """A proxy: its URL, which may contain a password, and the environment variable that names it."""

    url: str
    variable: str

    @property
    def password(self) -> str | None:
        """The password in the URL, None without one."""
        try:
            password = urlsplit(self.url).password
        except ValueError:
            return None
        return unquote(password) if password else None

    def __str__(self) -> str:
        """The proxy without user and password."""
        scheme, _, rest = self.url.partition("://")
        host = rest.rpartition("@")[2].partition("/")[0]
        return f"{scheme}://{host} ({self.variable})"


def is_this_machine(host: str) -> bool:
    """Whether a host name or address is this machine: a loopback one, its own name, or its own address."""
    host = host.rstrip(".").lower()
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return True
    address = _address(host)
    if address is not None:
        return address.is_loopback or _is_own(address)
    if host not in _own_names():
        return False
    try:
        resolved = {ip_address(str(info[4][0]).partition("%")[0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        return False
    return all(each.is_loopback or _is_own(each) for each in resolved)


def find_proxy(base_url: str) -> EnvironmentProxy | None:
    """The proxy that the environment sets for a server; None for this machine and for hosts of NO_PROXY."""
    url = urlsplit(base_url)
    host, proxies = url.hostname or "", getproxies()
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    proxy = proxies.get(scheme)
    if not proxy or is_this_machine(host) or proxy_bypass(host) or _in_excluded_network(host, proxies.get("no", "")):
        return None
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    variable = next((name for name in names if os.environ.get(name)), "the system's settings")
    return EnvironmentProxy(url=proxy if "://" in proxy else f"http://{proxy}", variable=variable)


def http_client(proxy: EnvironmentProxy | None) -> Any:
    """An HTTP client that uses this proxy and no other, and follows no redirect: frames go to the named server only.

    Raises:
        ConfigError: the proxy's address is none, or it is a SOCKS proxy and the library for it is not installed.
    """
    from openai import DefaultAsyncHttpxClient

    options: dict[str, Any] = {"follow_redirects": False}
    if proxy is not None:
        options["proxy"] = proxy.url
    elif any(getproxies().get(scheme) for scheme in ("http", "https", "all")):
        # Without trust_env the client ignores SSL_CERT_FILE and SSL_CERT_DIR too; Python's default context has them.
        options |= {"trust_env": False, "verify": ssl.create_default_context()}
    try:
        return DefaultAsyncHttpxClient(**options)
    except ImportError:
        raise ConfigError(
            f"The proxy {proxy} needs a library for SOCKS: pip install socksio. To reach the server without a proxy, "
            "add its host to NO_PROXY or unset the variable."
        ) from None
    except Exception as error:  # of httpx or the standard library; their texts may contain the password
        if proxy is None:
            raise
        raise ConfigError(
            f"{proxy.variable} is not the address of a proxy ({type(error).__name__}): set it as in "
            "http://HOST:PORT, or unset it, or add the server's host to NO_PROXY."
        ) from None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, also in the short forms of IPv4; None for a name."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host)) if re.fullmatch(r"[0-9a-fx.]+", host) else None
        except OSError:
            return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    """Whether this is an address of this machine: what is sent to it comes from it. Nothing is sent here."""
    if address.is_unspecified:
        return True
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:
        return False


def _own_names() -> set[str]:
    name = socket.gethostname().rstrip(".").lower()
    return {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"} - {""}


def _in_excluded_network(host: str, no_proxy: str) -> bool:
    """Whether a host is an address in one of NO_PROXY's networks (10.0.0.0/8), which `proxy_bypass` ignores."""
    address = _address(host)
    for entry in no_proxy.split(",") if address else ():
        try:
            if "/" in entry and address in ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
