"""Connections that cannot work are found out by `tillwire check`, with connection and setting named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tillwire import bootstrap, config
from tillwire.cli import main as whole_command
from tillwire.config import Connection, Settings
from tillwire.connectors.registry import spec_of
from tillwire.errors import ConfigurationError

ZONES = ("Mars/Olympus", "America", "../etc/passwd", "x" * 300)


def connected(connector: str, **settings: Any) -> Settings:
    return Settings(connections=(Connection(name="mine", connector=connector, settings=settings),))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("connector", ["poslog", "shopify", "square", "woocommerce", "flatfile"])
def test_a_wrong_zone_is_named(connector: str, zone: str) -> None:
    more = spec_of(connector).examples[0].settings if connector == "flatfile" else {}
    with pytest.raises(ConfigurationError, match=r"^connections\.mine: .*time_zone"):
        bootstrap.inbound_connectors(connected(connector, **{**more, "time_zone": zone}))


@pytest.mark.parametrize("connector", ["shopify", "square"])
def test_a_wrong_zone_of_a_store_is_named(connector: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^connections\.mine: .*time_zones\.101.*'Mars'"):
        bootstrap.inbound_connectors(connected(connector, time_zones={"101": "Mars"}))


@pytest.mark.parametrize(
    ("connector", "settings", "named"),
    [
        ("shopify", {"url": "https://my-shop.myshopify.com"}, "token"),
        ("shopify", {"callback_url": "https://hub.example.com/v1", "token": "t", "shop": "a.myshopify.com"}, "secret"),
        ("shopify", {"callback_url": "https://hub.example.com/v1"}, "token"),
        ("shopify", {"url": "nonsense", "token": "t"}, "url"),
        ("shopify", {"url": "http://[::1", "token": "t"}, "url"),
        ("shopify", {"url": "http://my-shop.myshopify.com", "token": "t"}, "https"),
        ("shopify", {"shop": "https://my-shop.myshopify.com"}, "shop"),
        ("shopify", {"token": "t"}, "shop"),
        ("shopify", {"interval_s": 0}, "interval_s"),
        ("shopify", {"interval_s": -1.5}, "interval_s"),
        ("square", {"url": "connect.squareup.com"}, "url"),
        ("square", {"url": "https://a:port"}, "url"),
        ("square", {"notification_url": "hub"}, "notification_url"),
        ("square", {"interval_s": 0}, "interval_s"),
        ("woocommerce", {"url": "shop.example.com"}, "url"),
        ("woocommerce", {"url": "https://"}, "url"),
        ("woocommerce", {"url": "http://shop.example.com"}, "https"),
        ("woocommerce", {"delivery_url": "ftp://hub.example.com"}, "delivery_url"),
        ("woocommerce", {"interval_s": 0}, "interval_s"),
    ],
)
def test_what_cannot_work_is_named(connector: str, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^connections\.mine: .*{named}"):
        bootstrap.inbound_connectors(connected(connector, **settings))


def test_what_can_work_is_accepted() -> None:
    hook = "https://hub.example.com/v1/connections/mine"
    shop = {"shop": "a.myshopify.com", "secret": "s", "token": "t", "callback_url": hook, "time_zone": "Europe/Rome"}
    bootstrap.inbound_connectors(connected("shopify", **shop))
    bootstrap.inbound_connectors(connected("woocommerce", url="http://127.0.0.1:8080/shop", delivery_url=hook))
    bootstrap.inbound_connectors(connected("square", notification_url="http://localhost:1/x"))


def test_any_complaint_of_a_connector_is_one_about_configuration() -> None:
    def complain(_: object) -> object:
        raise KeyError("colour")

    spec = msgspec.structs.replace(spec_of("poslog"), make=complain)
    with pytest.raises(ConfigurationError, match=r"^mine: 'colour'"):
        spec.configure({}, of="mine")


def file_with(folder: Path, text: str) -> Path:
    path = folder / "tillwire.toml"
    path.write_text(text)
    return path


TWO = "".join(f'[[connections]]\nname = "{name}"\nconnector = "shopify"\n' for name in ("web", "web-shop"))


def test_the_longest_name_of_a_connection_wins(tmp_path: Path) -> None:
    environment = {
        "TILLWIRE_CONNECTION_WEB_SHOP_TOKEN": "of web-shop",
        "TILLWIRE_CONNECTION_WEB_TOKEN": "of web",
        "TILLWIRE_CONNECTION_WEB_SHOP_SHOP": "a.myshopify.com",
    }
    web, web_shop = config.load(file_with(tmp_path, TWO), environment).connections
    assert web.settings == {"token": "of web"}
    assert web_shop.settings == {"token": "of web-shop", "shop": "a.myshopify.com"}


def test_tables_and_lists_of_the_environment_are_json(tmp_path: Path) -> None:
    environment = {
        "TILLWIRE_CONNECTION_WEB_STORES": '{"42": "101"}',
        "TILLWIRE_CONNECTION_WEB_TOPICS": '["orders/create"]',
        "TILLWIRE_CONNECTION_WEB_STORE": '{"as": "it is"}',
    }
    settings = config.load(file_with(tmp_path, TWO), environment)
    made = bootstrap.inbound_connectors(settings)["web"].settings
    assert (made.stores, made.topics, made.store) == ({"42": "101"}, ("orders/create",), '{"as": "it is"}')
    environment["TILLWIRE_CONNECTION_WEB_STORES"] = "42=101"
    with pytest.raises(ConfigurationError, match=r"^connections\.web: stores: a JSON object"):
        bootstrap.inbound_connectors(config.load(file_with(tmp_path, TWO), environment))


def test_an_inbox_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for inbox in (tmp_path / "file", tmp_path / "file" / "inbox", tmp_path / ("x" * 300)):
        one = Connection(name="mine", connector="poslog", inbox=str(inbox))
        with pytest.raises(ConfigurationError, match=r"^connections\.mine\.inbox: "):
            bootstrap.check_inboxes(Settings(connections=(one,)))
    fine = Connection(name="mine", connector="poslog", inbox=str(tmp_path / "new" / "inbox"))
    bootstrap.check_inboxes(Settings(connections=(fine,)))
    assert not (tmp_path / "new").exists()


def test_secrets_in_the_file_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tillwire", "check"])
    file_with(tmp_path, TWO + '[connections.settings]\nshop = "a.myshopify.com"\nsecret = "hidden-words"\n')
    with pytest.raises(SystemExit) as ended:
        whole_command()
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "connections.web-shop.settings.secret is a secret" in said
    assert "hidden-words" not in said
