"""The variables of the environment that an HTTP client reads: proxies and certificates.

httpx reads them when a client is made and raises many kinds of errors, some of which quote a proxy's
password. Here each is checked by itself, and a message names the variable alone.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from api.client.errors import ConfigurationError

_PROXIES = ("http", "https", "all")


def check_environment() -> None:
    """Check every variable that httpx reads.

    Raises:
        ConfigurationError: names the first unusable one.
    """
    for variable, value in _variables("SSL_CERT_FILE", "SSL_CERT_DIR"):
        _check_certificates(variable, value)
        break  # httpx reads the directory only without a file
    for scheme in () if _uses_no_proxy() else _PROXIES:
        for variable, value in _variables(f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            _check_proxy(variable, value if "://" in value else f"http://{value}")
            break
    try:
        httpx.Client(verify=False).close()  # noqa: S501 - makes no request; the rest of the environment is valid
    except (ValueError, httpx.InvalidURL):
        variable = next(_variables("no_proxy", "NO_PROXY"), ("NO_PROXY", ""))[0]
        raise ConfigurationError(
            f"{variable} is not valid; it lists host names and addresses between commas, "
            "e.g. localhost,::1,.example.org"
        ) from None


def proxy_variable(server: str) -> str | None:
    """The variable that names a proxy for the address; None if no proxy is configured."""
    for scheme in () if _uses_no_proxy() else (urlsplit(server).scheme, "all"):
        for variable, _ in _variables(f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            return variable
    return None


def _uses_no_proxy() -> bool:
    listed = next(_variables("no_proxy", "NO_PROXY"), ("", ""))[1]
    return "*" in (host.strip() for host in listed.split(","))


def _variables(*names: str) -> Iterator[tuple[str, str]]:
    """Those that are set, with their values, in order of precedence."""
    return ((name, os.environ[name]) for name in names if os.environ.get(name))


def _check_certificates(variable: str, path: str) -> None:
    try:
        if variable == "SSL_CERT_FILE":
            ssl.create_default_context(cafile=path)
        else:
            ssl.create_default_context(capath=path)
    except (ssl.SSLError, ValueError):
        raise ConfigurationError(f"{variable}: no certificates in {path!r}: not a PEM file") from None
    except OSError as error:
        raise ConfigurationError(f"{variable}: no certificates in {path!r}: {error.strerror}") from None


def _check_proxy(variable: str, address: str) -> None:
    try:
        url = httpx.URL(address)
        scheme_is_known = url.scheme in {"http", "https", "socks5", "socks5h"}
        usable = bool(url.host) and urlsplit(address).port != 0
    except (httpx.InvalidURL, ValueError):
        scheme_is_known = usable = False
    if not (scheme_is_known and usable):
        raise ConfigurationError(
            f"{variable} is not the address of a proxy; "
            "it looks like http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"
        )
    if url.scheme.startswith("socks"):
        _require_socks(variable)


def _require_socks(variable: str) -> None:
    if importlib.util.find_spec("socksio") is None:
        raise ConfigurationError(
            f"{variable}: a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'"
        )
