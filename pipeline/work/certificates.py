"""Certificates that protect a Dask cluster from anyone without them: TLS in both directions.

A folder has an authority, one certificate that it has signed, and that certificate's key. Scheduler,
workers and driver all show the certificate, and hear nobody who cannot show one of the same authority. The
authority's own key is never written, so there will be no other. Dask compares no host names: one folder
serves any number of machines.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from distributed import Security

from extract.errors import UsageError, command

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
DAYS = 365
CLOCKS = timedelta(days=1)  # by which those of a cluster may differ


def make_certificates(folder: Path, days: int = DAYS) -> datetime:
    """Write the three files into a new or empty folder, which only its owner may enter from then on.

    Returns the end of their validity. Raises UsageError for a folder that has anything in it, or cannot be
    written.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    end = now + timedelta(days=days)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = _name("Marquee cluster authority"), _name("Marquee cluster")
    authority = (
        _builder(issuer, issuer, authority_key, authority_key, now - CLOCKS, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        _builder(subject, issuer, key, authority_key, now - CLOCKS, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("marquee-cluster")]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_bytes = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = {
        KEY: key_bytes,
        CERTIFICATE: certificate.public_bytes(pem),
        AUTHORITY: authority.public_bytes(pem),
    }
    _write(folder, files)
    return end


def read_certificates(folder: Path) -> Security:
    """What Dask needs to talk to a cluster that has these certificates.

    Raises UsageError for files that are missing, cannot be used or are out of date, and for a key that others
    may read.
    """
    paths = {name: folder / name for name in (AUTHORITY, CERTIFICATE, KEY)}
    try:
        certificates = [
            x509.load_pem_x509_certificate(paths[name].read_bytes()) for name in (AUTHORITY, CERTIFICATE)
        ]
        key = serialization.load_pem_private_key(paths[KEY].read_bytes(), password=None)
        if key.public_key() != certificates[1].public_key():
            raise ValueError("the key of another certificate")
        _check_key(paths[KEY])
    except OSError as error:
        raise UsageError(
            f"--certificates {folder}: cannot read {error.filename}: {error.strerror}; "
            f"{command('cluster-certificates', 'DIR')} makes such a folder"
        ) from error
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"--certificates {folder}: {', '.join(paths)} are not an authority, a certificate and its key: "
            f"{command('cluster-certificates', 'DIR')} makes such a folder"
        ) from error
    start = max(one.not_valid_before_utc for one in certificates)
    end = min(one.not_valid_after_utc for one in certificates)
    if not start <= datetime.now(UTC) <= end:
        raise UsageError(
            f"--certificates {folder}: valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, which is not now: make "
            f"new ones with {command('cluster-certificates', 'DIR')}, and restart the cluster with them"
        )
    pair = {"cert": str(paths[CERTIFICATE]), "key": str(paths[KEY])}
    roles = {f"tls_{role}_{part}": pair[part] for role in ("scheduler", "worker", "client") for part in pair}
    return Security(require_encryption=True, tls_ca_file=str(paths[AUTHORITY]), **roles)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    """What both certificates have (RFC 5280, 4.1 and 4.2.1)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Files that nobody else can read at any time, in place of none that was there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if there := sorted(os.listdir(folder)):
            raise UsageError(f"{folder} has {there[0]!r} in it: give a new or empty folder")
        folder.chmod(0o700)
        for name, content in files.items():
            number = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(number, "wb") as file:
                file.write(content)
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror}; give a new folder of your own"
        ) from error


def _check_key(path: Path) -> None:
    """PostgreSQL's rule for ``ssl_key_file``: a key of root's (Kubernetes mounts such) may be for a group."""
    found = path.stat()
    if found.st_mode & (0o027 if found.st_uid == 0 else 0o077):
        raise UsageError(
            f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}): run chmod 600 on it; if "
            f"it has been read, make new ones with {command('cluster-certificates', 'DIR')}"
        )
