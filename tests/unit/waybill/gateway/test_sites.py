"""What a site's file may say, and the command that takes one."""

import pytest

from tests.support.gateway.documents import SITE
from waybill.gateway.command import main
from waybill.gateway.documents.document import Refused
from waybill.gateway.site import Site, split


def test_a_site_is_read_as_it_was_saved(tmp_path):
    SITE.save(tmp_path / "site.json")
    assert Site.load(tmp_path / "site.json") == SITE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it must have backends and listeners, and may have keys, issuers, certificates, admin"),
        ("[a]", "it must have backends and listeners"),
        ("backends: {}", "it must have backends and listeners"),
        ("{backends: {}, listeners: {}, ports: {}}", "it must have backends and listeners"),
        ("{backends: [a], listeners: {}}", "backends must be a mapping of texts to texts"),
        ("{backends: {n/app: 80}, listeners: {}}", "backends must be a mapping of texts to texts"),
        ("{backends: {}, listeners: }", "listeners must be a mapping of texts to texts"),
        ("{backends: {}, listeners: {}, admin: 9}", "admin must be host:port"),
        ("{", "expected the node content"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path, text, said):
    file = tmp_path / "site.yaml"
    file.write_text(text)
    with pytest.raises(Refused, match=said):
        Site.load(file)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(Refused, match="site"):
        Site.load(file)


@pytest.mark.parametrize("address", ["host", ":80", "host:", "host:65536", "host:\u00b2", "host:-1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(Refused, match="is no address"):
        split(address)


def test_an_address_may_be_of_ipv6():
    assert split("[::1]:65535") == ("::1", 65535)


def test_a_check_needs_something_to_compare_with(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["compile", "deploy/gateway", "--site", "site.yaml", "--check"])
    assert ended.value.code == 2
    assert "--to FOLDER" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    SITE.save(tmp_path / "site.json")
    assert main(["serve", "deploy/gateway", "--site", str(tmp_path / "none"), "--folder", str(tmp_path)]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_going_back_takes_a_route_and_no_rule(tmp_path, capsys):
    assert main(["rollback", "orders/reads", "--folder", str(tmp_path), "--reason", "a test"]) == 2
    assert "whichever rule it moved: rollback orders" in capsys.readouterr().err
