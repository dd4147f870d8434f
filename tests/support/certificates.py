"""Certificates of the tests' own: a CA, and what it signed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
DAY = timedelta(days=1)


class Authority:
    """A CA."""

    def __init__(self, file: Path) -> None:
        """Make it, its certificate in that file."""
        self.file = file
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = f"a CA of the tests ({file.stem})"
        certificate = self._sign(self._name, self._key.public_key(), DAY, self._usage())
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: Path, *, address: str = HOST, ends: timedelta = DAY) -> Path:
        """Write a certificate for this address, called as the file, and its key, in one PEM file; returns the file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        certificate = self._sign(file.stem, key.public_key(), ends, names)
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return file

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, ends: timedelta, more: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        authority = name == self._name
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(more, critical=authority)
            .sign(self._key, hashes.SHA256())
        )

    def _usage(self) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )


@dataclass(frozen=True)
class Certificates:
    """One CA, and the PEM files it signed: certificate and key in one."""

    ca_file: Path
    server_file: Path
    client_file: Path


def make_certificates(folder: Path) -> Certificates:
    """Make a CA, a server's and a client's certificate, valid for a day."""
    authority = Authority(folder / "ca.pem")
    return Certificates(authority.file, authority.issue(folder / "server.pem"), authority.issue(folder / "client.pem"))


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
