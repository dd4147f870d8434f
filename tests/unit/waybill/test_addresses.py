"""Addresses are read alike wherever a program listens or sends."""

import socket

import pytest

from waybill.runtime import addresses
from waybill.runtime.wake_up import WakeUpSignal, send


@pytest.mark.parametrize(
    ("told", "host", "port"),
    [("127.0.0.1:8101", "127.0.0.1", 8101), ("[::1]:8101", "::1", 8101), ("relay:1", "relay", 1)],
)
def test_an_address_is_split_and_joined(told: str, host: str, port: int) -> None:
    assert addresses.split(told) == (host, port)
    assert addresses.joined(host, port) == told


@pytest.mark.parametrize("told", ["::1", "8101", "host:", "host:soon"])
def test_what_is_no_host_and_port_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        addresses.split(told)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_wake_up_signal_arrives_by_either_family(host: str) -> None:
    family, target = addresses.resolve(host, 0, socket.SOCK_DGRAM)
    with socket.socket(family, socket.SOCK_DGRAM) as chosen:
        chosen.bind(target)
        port = chosen.getsockname()[1]
    with WakeUpSignal(addresses.joined(host, port)) as wake_up:
        send(addresses.joined(host, port))
        assert wake_up.wait(5)
