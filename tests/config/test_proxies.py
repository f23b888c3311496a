"""The proxy of each URL, judged by httpx, which reads the same environment."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from count_tokens_mw import Config, ConfigError
from count_tokens_mw.config.http_settings import HttpSettings
from count_tokens_mw.config.proxies import proxies_from_environment
from tests.support.company_network import PrivateCa

P: Final = "http://proxy.example:3128"
Q: Final = "http://other.example:8080"
URLS: Final = (
    "http://api.example/",
    "https://api.example/v1/messages",
    "https://API.example/",
    "https://api.example:443/",
    "https://api.example:8443/",
    "http://api.example:80/",
    "https://www.api.example/",
    "https://wwwapi.example/",
    "https://example/",
    "https://10.1.2.3/",
    "https://10.1.2.3:8443/",
    "https://10.1.2.4/",
    "http://localhost:8000/",
    "https://sub.localhost/",
    "http://127.0.0.1:8000/",
    "https://[::1]:8443/",
    "https://[fd00::1]/",
)
ENVIRONMENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "nothing": {},
    "https": {"HTTPS_PROXY": P},
    "http": {"HTTP_PROXY": P},
    "all": {"ALL_PROXY": P},
    "all, and https": {"ALL_PROXY": P, "HTTPS_PROXY": Q},
    "lower case": {"https_proxy": P, "http_proxy": Q},
    "lower case wins": {"HTTPS_PROXY": Q, "https_proxy": P},
    "lower case unsets": {"HTTPS_PROXY": P, "https_proxy": ""},
    "mixed case": {"Https_Proxy": P},
    "without a scheme": {"HTTPS_PROXY": "proxy.example:3128"},
    "a user": {"HTTPS_PROXY": "http://user:pass@proxy.example:3128"},
    "by TLS": {"HTTPS_PROXY": "https://proxy.example"},
    "a script's": {"HTTP_PROXY": P, "REQUEST_METHOD": "POST"},
    "a script's, in lower case": {"http_proxy": P, "REQUEST_METHOD": "POST"},
    "only exemptions": {"NO_PROXY": "api.example"},
    **{
        f"no_proxy {exempt}": {"ALL_PROXY": P, "HTTPS_PROXY": Q, "NO_PROXY": exempt}
        for exempt in (
            "",
            "*",
            "api.example, *",
            "api.example",
            ".api.example",
            "API.example",
            "example",
            "www.api.example,other",
            " api.example , 10.1.2.3 ",
            "api.example:443",
            "api.example:8443",
            "10.1.2.3",
            "10.1.2.0/24",
            "10.1.2.3:8443",
            "localhost",
            "localhost:8000",
            "LOCALHOST",
            "127.0.0.1",
            "::1",
            "fd00::1",
            "http://",
            "https://",
            "https://api.example",
            "http://api.example",
            "all://api.example",
            "all://*.api.example",
            "https://api.example:8443",
            ",,",
        )
    },
    "no_proxy, in lower case": {"HTTPS_PROXY": P, "NO_PROXY": "example", "no_proxy": "api.example"},
    "no_proxy, unset in lower case": {"HTTPS_PROXY": P, "NO_PROXY": "example", "no_proxy": ""},
}


def by_httpx(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Return the proxy of each URL in the table of a real client of httpx."""
    from httpx._utils import get_environment_proxies

    with monkeypatch.context() as patched:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
            patched.delenv(name, raising=False)
            patched.delenv(name.lower(), raising=False)
        for name, value in environ.items():
            patched.setenv(name, value)
        proxies = get_environment_proxies()
        client = httpx.Client()
    with client:
        transports: dict[int, str | None] = {id(client._transport): None}
        for pattern, transport in client._mounts.items():
            if transport is not None:
                transports[id(transport)] = proxies[pattern.pattern]
        return {url: transports[id(client._transport_for_url(httpx.URL(url)))] for url in URLS}


@pytest.mark.parametrize("environ", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_environment_is_read_as_httpx_reads_it(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = proxies_from_environment(environ)
    found = {url: proxies.find(url) for url in URLS}
    ours = {url: proxy and proxy.url for url, proxy in found.items()}
    assert ours == by_httpx(environ, monkeypatch)


def test_the_judge_sees_both_proxies_and_direct_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = [by_httpx(environ, monkeypatch) for environ in ENVIRONMENTS.values()]
    assert {P, Q, None} <= {proxy for each in judged for proxy in each.values()}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.170.2/v2/credentials",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/latest",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://metadata.google.internal./",
    ],
)
def test_a_metadata_server_is_reached_directly(url: str) -> None:
    settings = HttpSettings.model_validate({"proxy": P})
    assert settings.proxies.find(url) is None
    assert proxies_from_environment({"ALL_PROXY": P}).find(url) is None


@pytest.mark.parametrize(
    "exempt", ["api.example:port", "api.example:99999", "[", "[::1", "http://["]
)
def test_an_exemption_that_is_no_host_exempts_nothing(exempt: str) -> None:
    """httpx raises an error for it, at the first use of a client."""
    proxies = proxies_from_environment({"ALL_PROXY": P, "NO_PROXY": f"{exempt},10.1.2.3"})
    assert proxies.find("https://api.example/") is not None
    assert proxies.find("https://10.1.2.3/") is None


def http_of(http: Mapping[str, Any], environ: Mapping[str, str]) -> HttpSettings:
    return Config.from_mapping({"count_tokens": {"http": http}}, environ).settings.http


def test_a_configured_proxy_takes_the_place_of_the_environments() -> None:
    http = http_of({"proxy": P, "trust_env": True}, {"HTTPS_PROXY": Q, "NO_PROXY": "*"})
    for url in URLS:
        found = http.proxies.find(url)
        assert found is not None
        assert (found.url, found.origin) == (P, "count_tokens.http.proxy")


def test_the_environment_is_read_only_if_it_is_trusted() -> None:
    environ = {"HTTPS_PROXY": P, "SSL_CERT_FILE": "/nowhere.pem", "SSL_CERT_DIR": "/nowhere"}
    http = http_of({}, environ)
    assert [http.proxies.find(url) for url in URLS] == [None] * len(URLS)
    assert http.origins == ()
    assert http.create_tls_context().get_ca_certs()
    found = http_of({"trust_env": True}, {"HTTPS_PROXY": P}).proxies.find("https://api.example")
    assert found is not None
    assert found.origin == "HTTPS_PROXY"


def test_the_proxys_password_shows_nowhere() -> None:
    http = http_of({"proxy": "http://user:canary@proxy.example"}, {})
    assert "canary" not in repr(http) + repr(http.proxies.find(URLS[0])) + str(http.model_dump())


PROBLEMS: Final = {
    "a scheme": ({"proxy": "socks5://proxy.example:canary"}, ".proxy: "),
    "another scheme": (
        {"proxy": "socks5://canary.example:1080"},
        ".proxy: only proxies of http://",
    ),
    "no URL": ({"proxy": "canary:3128"}, ".proxy: only proxies of http://"),
    "no host": ({"proxy": "http://:3128"}, ".proxy: a proxy's URL is required"),
    "a path": ({"proxy": "http://canary.example/path"}, ".proxy: a proxy's URL is required"),
    "no file": ({"ca_file": "/canary.pem"}, ".ca_file: the file cannot be read: No such file"),
    "a NUL": ({"ca_file": "canary\0"}, ".ca_file: the file cannot be read"),
    "no certificate": ({"ca_file": "{text}"}, ".ca_file: no certificate in PEM format"),
    "no client file": ({"client_cert": "/canary.pem"}, ".client_cert: the file cannot be read"),
    "no key": ({"client_cert": "{ca}"}, ".client_cert: no certificate with its key"),
    "no password": ({"client_cert": "{encrypted}"}, ".client_cert: no certificate with its key"),
    "an unknown key": ({"client_cert": {"cert": "canary"}}, ".client_cert.cert: unknown key"),
}


@pytest.mark.parametrize(("http", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_setting_that_cannot_work_is_refused_at_start(
    tmp_path: Path, http: Mapping[str, Any], problem: str
) -> None:
    (tmp_path / "text").write_text("canary")
    files = {"{text}": tmp_path / "text", "{ca}": Path(PrivateCa(tmp_path).file)}
    files["{encrypted}"] = tmp_path / "encrypted"
    files["{encrypted}"].write_bytes(encrypted(tmp_path, "canary"))
    filled = {name: str(files[value]) for name, value in http.items() if str(value) in files}
    with pytest.raises(ConfigError) as raised:
        http_of({**http, **filled}, {})
    assert f"count_tokens.http{problem}" in str(raised.value)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"ALL_PROXY": "socks5h://canary:1080"}, "ALL_PROXY: only proxies of http://"),
        ({"https_proxy": "http://canary/path"}, "https_proxy: a proxy's URL is required"),
        ({"SSL_CERT_FILE": "/canary.pem"}, "SSL_CERT_FILE: the file cannot be read"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(environ: Mapping[str, str], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        http_of({"trust_env": True}, environ)
    assert f"count_tokens.http.trust_env: {problem}" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_certificates_come_from_a_file_a_variable_or_a_folder(tmp_path: Path) -> None:
    file = PrivateCa(tmp_path).file
    (ours,) = ssl.create_default_context(cafile=file).get_ca_certs()
    for http, environ, origins in (
        ({"ca_file": file}, {}, ("count_tokens.http.ca_file",)),
        ({"trust_env": True}, {"SSL_CERT_FILE": file}, ("SSL_CERT_FILE",)),
        (
            {"trust_env": True, "ca_file": file},
            {"SSL_CERT_DIR": "/"},
            ("count_tokens.http.ca_file",),
        ),
    ):
        settings = http_of(http, environ)
        assert settings.create_tls_context().get_ca_certs() == [ours]
        assert settings.origins == origins
    settings = http_of({"trust_env": True}, {"SSL_CERT_DIR": str(tmp_path)})
    assert settings.create_tls_context().get_ca_certs() == []  # a folder is read by hashes
    assert settings.origins == ("SSL_CERT_DIR",)


def test_an_encrypted_key_has_its_password(tmp_path: Path) -> None:
    (tmp_path / "client.pem").write_bytes(encrypted(tmp_path, "s3cret"))
    cert = {"cert_file": str(tmp_path / "client.pem"), "password": "os.environ/PASSWORD"}
    http = http_of({"client_cert": cert}, {"PASSWORD": "s3cret"})
    assert http.origins == ("count_tokens.http.client_cert",)
    assert "s3cret" not in repr(http)


def encrypted(folder: Path, password: str) -> bytes:
    """Return a client's certificate with its key, which a password protects."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    pem = Path(PrivateCa(folder).client_file).read_bytes()
    key = load_pem_private_key(pem, None)
    protection = BestAvailableEncryption(password.encode())
    hidden = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
    return hidden + pem[pem.index(b"-----BEGIN CERTIFICATE") :]
