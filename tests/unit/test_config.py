"""Settings from file and environment."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tillwire import bootstrap, config
from tillwire.config import Settings, is_loopback, load
from tillwire.errors import ConfigurationError


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "tillwire.toml"
    path.write_text(
        'database_url = "from-file"\n[http]\nport = 9000\nmost_batch_events = 7\n[posting]\nmode = "transaction"\n'
        '[[posting.accounts]]\ncomponent = "*"\naccount = "1"\n[erp.settings]\nurl = "file"\ncompany = "file"\n'
    )
    return path


def test_without_anything_every_field_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}) == Settings()


def test_the_file_here_is_read_unless_another_is_named(
    tmp_path: Path, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).http.port == 9000
    other = tmp_path / "other.toml"
    other.write_text("[http]\nport = 9001\n")
    assert load(None, {"TILLWIRE_CONFIG": str(other)}).http.port == 9001


def test_the_environment_overrides_the_file(toml: Path) -> None:
    environment = {
        "TILLWIRE_DATABASE_URL": "from-environment",
        "TILLWIRE_HTTP_PORT": "9002",
        "TILLWIRE_RULES_TOTAL_TOLERANCE_UNITS": "2.5",
        "TILLWIRE_POSTING_SETTLE_S": "1.5",
        "TILLWIRE_ERP_SETTINGS_URL": "environment",
        "UNRELATED": "x",
    }
    settings = load(toml, environment)
    assert settings.database_url == "from-environment"
    assert (settings.http.port, settings.http.most_batch_events) == (9002, 7)
    assert settings.rules.total_tolerance_units == Decimal("2.5")
    assert (settings.posting.mode, settings.posting.settle_s) == ("transaction", 1.5)
    assert settings.posting.accounts[0].account == "1"
    assert settings.erp.settings == {"url": "environment", "company": "file"}


OIDC = "[access.oidc]\nissuer = 'https://login.example.com'\nclient_id = 'hub'\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("databaseurl = 'x'", "databaseurl"),
        ("[http]\nprot = 1", "prot"),
        ("[posting]\nmode = 'both'", "posting.mode"),
        ("[http]\nport = 70000", "http.port"),
        ("[work]\nprocesses = 0", "work.processes"),
        ("[posting]\naccounts = []", "posting.accounts"),
        ("[[posting.accounts]]\ncomponent = 'tax'", "account"),
        ("http = 1", "http"),
        ("[rules]\ntotal_tolerance_units = -1", "total_tolerance_units"),
        ("[rules]\nextension_tolerance_units = 'NaN'", "extension_tolerance_units"),
        ("[posting]\nsuspense_account = ' '", "suspense_account"),
        ("[relay]\nstream = 'a.b'", "stream"),
        ("[http]\ntrusted_proxies = ['proxy']", "trusted_proxies"),
        ("[http]\npublic_url = 'hub.example.com'", "public_url"),
        ("[http]\nmetrics = 'maybe'", "metrics"),
        ("[clients]\ntoken_key = 'short'", "token_key"),
        (f"[clients]\ntoken_key = '{'x' * 40}'\ntoken_key_file = 'k'", "token_key_file"),
        ("[relay]\nsubject_prefix = '>'", "subject_prefix"),
        ("[access]\nfree_failures = 0", "free_failures"),
        ("[access.oidc]\nclient_id = 'hub'", "access.oidc.issuer"),
        ("[access.oidc]\nissuer = 'http://login.example.com'\nclient_id = 'hub'", "access.oidc.issuer"),
        ("[access.oidc]\nissuer = 'https://login.example.com?x=1'\nclient_id = 'hub'", "access.oidc.issuer"),
        ("[access.oidc]\nissuer = 'https://login.example.com'", "access.oidc.client_id"),
        (f"{OIDC}client_secret = 's'\nclient_secret_file = 'f'", "client_secret_file"),
        (f"{OIDC}scopes = ['profile']", "scopes"),
        (f"{OIDC}algorithms = []", "algorithms"),
        (f"{OIDC}algorithms = ['HS256']", "algorithms"),
        (f"{OIDC}algorithms = ['none']", "algorithms"),
        (f"{OIDC}[http]\nhost = '0.0.0.0'", "public_url"),
        ("this is no toml", "tillwire.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "tillwire.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=named):
        load(path, {})


def test_a_wrong_setting_of_the_environment_is_named(toml: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"http\.port"):
        load(toml, {"TILLWIRE_HTTP_PORT": "none"})


def test_a_list_of_the_environment_is_divided_by_commas_or_blanks(toml: Path) -> None:
    for text in ("10.0.0.0/8,127.0.0.1", "10.0.0.0/8 127.0.0.1"):
        assert load(toml, {"TILLWIRE_HTTP_TRUSTED_PROXIES": text}).http.trusted_proxies == ("10.0.0.0/8", "127.0.0.1")
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        load(toml, {"TILLWIRE_HTTP_TRUSTED_PROXIES": "proxy.example.com"})


def test_a_variable_that_is_no_setting_is_named(toml: Path) -> None:
    with pytest.raises(ConfigurationError, match="TILLWIRE_HTTP_PROT"):
        load(toml, {"TILLWIRE_HTTP_PROT": "1"})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml", {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "hub.example.com", "127.example.com"])
def test_keys_are_never_off_where_others_can_reach(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_loopback(host)
    environment = {"TILLWIRE_HTTP_HOST": host, "TILLWIRE_HTTP_API_KEYS": "off"}
    with pytest.raises(ConfigurationError, match="loopback"):
        load(None, environment)
    assert load(None, environment | {"TILLWIRE_HTTP_API_KEYS": "required"}).http.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_keys_may_be_off_on_the_loopback(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {"TILLWIRE_HTTP_HOST": host, "TILLWIRE_HTTP_API_KEYS": "off"}).http.api_keys == "off"


def test_an_inbox_needs_a_connector_that_reads_files_and_belongs_to_one_connection(tmp_path: Path) -> None:
    mapping = {
        "events": [{"type": "master.tender", "fields": {n: {"column": n} for n in ("type", "name", "revision")}}]
    }

    def connection(name: str, inbox: str) -> config.Connection:
        return config.Connection(name=name, connector="flatfile", settings=mapping, inbox=inbox)

    one, other = connection("one", str(tmp_path)), connection("other", f"{tmp_path}/x/..")
    assert list(bootstrap.inbound_connectors(config.Settings(connections=(one,)))) == ["one"]
    with pytest.raises(ConfigurationError, match=r"connections.other.inbox: it is also that of one"):
        bootstrap.inbound_connectors(config.Settings(connections=(one, other)))


def test_roles_that_there_are_not_are_named_with_their_place() -> None:
    group = config.OidcGroup(group="shops", roles=("viewer", "king"))
    for access, place in (
        (config.Access(totp_roles=("finances",)), "access.totp_roles: there is no role 'finances'"),
        (config.Access(oidc=config.Oidc(groups=(group,))), "access.oidc.groups, shops: there is no role 'king'"),
    ):
        with pytest.raises(ConfigurationError, match=place):
            bootstrap.check_access(access)
    bootstrap.check_access(config.Access())


def test_a_companys_sign_in_needs_a_key_to_seal_with(tmp_path: Path) -> None:
    oidc = config.Oidc(issuer="https://login.example.com", client_id="hub", client_secret_file=str(tmp_path / "absent"))
    settings = config.Settings(access=config.Access(oidc=oidc))
    with pytest.raises(ConfigurationError, match="token_key"):
        bootstrap.provider(settings)
    clients = config.Clients(token_key="k" * 40)
    with pytest.raises(ConfigurationError, match="client_secret_file"):
        bootstrap.provider(msgspec.structs.replace(settings, clients=clients))


def test_a_secret_in_the_file_is_told_of() -> None:
    content = {"access": {"oidc": {"client_secret": "s"}}}
    assert bootstrap.secrets_written(content, config.Settings()) == ["access.oidc.client_secret"]
