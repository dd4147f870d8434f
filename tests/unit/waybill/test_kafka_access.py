"""What a client of Kafka is set up with: checked at the start, shown by nothing, and read again for each client."""

from pathlib import Path

import pytest

from waybill.kafka import access
from waybill.kafka.kafka_client import connection

PASSWORD = "hunter2-and-more"
LOGIN = f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=ann\nsasl.password={PASSWORD}\n"
SERVERS = "127.0.0.1:1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kafka.properties"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"sasl.pasword={PASSWORD}", 'No such configuration property: "sasl.pasword"'),
        ("security.protocol=TLS", 'Invalid value "TLS" for configuration property "security.protocol"'),
        (LOGIN.replace("SCRAM-SHA-512", "SCRAM"), "Unsupported SASL mechanism: SCRAM"),
        (LOGIN.replace(f"sasl.password={PASSWORD}", ""), "sasl.username and sasl.password must be set"),
        (f"{LOGIN}ssl.ca.location=/nowhere/ca.pem", "ssl.ca.location: /nowhere/ca.pem: No such file or directory"),
    ],
)
def test_what_no_client_can_be_made_of_is_named_without_the_password(file: Path, text: str, says: str):
    file.write_text(text)
    with pytest.raises(ValueError, match="WAYBILL_KAFKA_PROPERTIES_FILE: ") as refused:
        access.check(connection(SERVERS, str(file)))
    assert says in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_each_client_is_made_of_the_file_as_it_is_then(file: Path):
    file.write_text(LOGIN)
    options = connection(SERVERS, str(file))
    assert ({**options}["sasl.password"], PASSWORD in repr(options)) == (PASSWORD, False)
    file.write_text(LOGIN.replace(PASSWORD, "another"))
    assert {**options}["sasl.password"] == "another"
    file.write_text("half a li")
    assert {**options}["sasl.password"] == "another"
    file.unlink()
    assert ({**options}["sasl.password"], {**options}["bootstrap.servers"]) == ("another", SERVERS)


def test_a_new_password_is_given_to_the_clients_once(file: Path):
    class Client:
        def set_sasl_credentials(self, *login: str) -> None:
            given.append(login)

    given: list[tuple[str, ...]] = []
    file.write_text(LOGIN)
    login = access.Login(connection(SERVERS, str(file)))
    login.renew(Client())
    file.write_text(LOGIN.replace(PASSWORD, "another"))
    login.renew(Client(), Client())
    login.renew(Client())
    file.write_text("")
    login.renew(Client())
    assert given == [("ann", "another")] * 2
