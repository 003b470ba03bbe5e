"""Signed records: what an evaluation states, in an envelope that only the holder of a key can make.

The envelope is a DSSE envelope, version 1 (https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md), with an
ed25519 signature. Its payload is the record without the slot's name, as that is chosen when it is sent.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalguard.core.files import FOR_OWNER
from evalguard.errors import ConfigError
from evalguard.reporting.file_sink import write_output

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_VARIABLE = "EVALGUARD_SIGNING_KEY"
PAYLOAD_TYPE = "application/vnd.evalguard.record+json"
PUBLIC_SUFFIX = ".pub"
PEM = "-----BEGIN"


class SignatureError(Exception):
    """An envelope that proves nothing, and why."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The payload of an envelope, and the key that signed it.

    Attributes:
        payload: What was signed.
        digest: SHA-256 of the payload, hexadecimal: the name of the record in the chain.
        key_id: The key.
    """

    payload: Mapping[str, Any]
    digest: str
    key_id: str


def signing_key(given: str | Path | None = None) -> Ed25519PrivateKey | None:
    """The private key to sign with; None if there is none.

    Args:
        given: File of the key; by default ``EVALGUARD_SIGNING_KEY``, which holds the path of the file or the PEM text.

    Raises:
        ConfigError: It is no ed25519 private key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    named = str(given) if given else os.environ.get(KEY_VARIABLE, "").strip()
    if not named:
        return None
    text = not given and PEM in named
    # The variable may hold the key itself, in a form that is not recognised: its value is never shown.
    where = str(given) if given else f"{'the text in' if text else 'the file that is named by'} {KEY_VARIABLE}"
    expected = "signing key: expected an ed25519 private key (PEM, no password, see evalguard keygen)"
    load = functools.partial(load_pem_private_key, password=None)
    key: Ed25519PrivateKey = _loaded(
        Ed25519PrivateKey, load, named.encode if text else Path(named).read_bytes, expected, where
    )
    return key


def new_key(path: str | Path) -> tuple[Path, Path, str]:
    """Make a pair of keys: the private one at ``path``, for its owner only, the public one beside it.

    Returns:
        Both files, and the key's id.

    Raises:
        ConfigError: One of the files exists; a key that is overwritten is lost.
    """
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = Path(path), Path(f"{path}{PUBLIC_SUFFIX}")
    for file in (private, public):
        if file.exists():
            msg = (
                f"keygen: expected a new file, found {file}; choose another name, as a key that is overwritten is lost"
            )
            raise ConfigError(msg)
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()).decode()
    write_output(private, text, FOR_OWNER)
    shown = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo).decode()
    write_output(public, shown)
    return private, public, key_id(key.public_key())


def trusted_keys(files: Sequence[str | Path] = (), folder: str | Path | None = None) -> dict[str, Ed25519PublicKey]:
    """Public keys by id.

    Args:
        files: Files of public keys (PEM).
        folder: All files ``*.pub`` in it, too.

    Raises:
        ConfigError: A file is no ed25519 public key, or the folder has none.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = [*map(Path, files)]
    if folder is not None:
        inside = sorted(Path(folder).glob(f"*{PUBLIC_SUFFIX}"))
        if not inside:
            msg = f"trust: expected public keys *{PUBLIC_SUFFIX} in {folder}, found none"
            raise ConfigError(msg)
        found += inside
    expected = "trust: expected an ed25519 public key (PEM, as evalguard keygen writes it)"
    keys = {}
    for file in found:
        key: Ed25519PublicKey = _loaded(Ed25519PublicKey, load_pem_public_key, file.read_bytes, expected, file)
        keys[key_id(key)] = key
    return keys


def _loaded(kind: Any, load: Callable[[bytes], Any], read: Callable[[], bytes], expected: str, where: object) -> Any:
    """The key in what ``read`` returns, which must be of this kind.

    Raises:
        ConfigError: It cannot be read, or is of another kind.
    """
    try:
        key = load(read())
    except (OSError, ValueError, TypeError) as error:
        # Not the error's own text, and no chain: a parser may repeat what it read, which may be secret.
        why = error.strerror if isinstance(error, OSError) else "it cannot be read as one"
        msg = f"{expected} at {where}; {why}"
        raise ConfigError(msg) from None
    if not isinstance(key, kind):
        msg = f"{expected} at {where}, found {type(key).__name__}"
        raise ConfigError(msg)
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key's 32 bytes, hexadecimal; a hint which key signed, not a proof."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def sign(payload: Mapping[str, Any], key: Ed25519PrivateKey) -> tuple[str, str]:
    """An envelope as JSON on one line, and the digest of its payload."""
    body = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    signature = {"keyid": key_id(key.public_key()), "sig": _base64(key.sign(_signed_bytes(PAYLOAD_TYPE, body)))}
    envelope = {"payload": _base64(body), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
    return json.dumps(envelope, separators=(",", ":")), hashlib.sha256(body).hexdigest()


def opened(envelope: str | bytes, trusted: Mapping[str, Ed25519PublicKey]) -> Signed:
    """The payload of an envelope that one of these keys signed.

    Raises:
        SignatureError: It is no envelope, or none of the keys signed it.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        data: Any = json.loads(envelope)
        kind, body = data["payloadType"], base64.b64decode(data["payload"], validate=True)
        signatures = [base64.b64decode(each["sig"], validate=True) for each in data["signatures"]]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        msg = "its signature is in no envelope that can be read"
        raise SignatureError(msg) from error
    if kind != PAYLOAD_TYPE:
        msg = f"its envelope is of another kind: {str(kind)[:60]!r}"
        raise SignatureError(msg)
    # Each key with each signature: the key's id in an envelope is not signed.
    for name, key in trusted.items():
        for signature in signatures:
            try:
                key.verify(signature, _signed_bytes(kind, body))
            except InvalidSignature:
                continue
            return Signed(_payload(body), hashlib.sha256(body).hexdigest(), name)
    msg = "it is signed by no trusted key"
    raise SignatureError(msg)


def unverified(envelope: str) -> tuple[Mapping[str, Any], str] | None:
    """Payload and digest of an envelope whose signature is not checked; None if it cannot be read."""
    try:
        body = base64.b64decode(json.loads(envelope)["payload"], validate=True)
        return _payload(body), hashlib.sha256(body).hexdigest()
    except (ValueError, KeyError, TypeError, SignatureError):
        return None


def _payload(body: bytes) -> Mapping[str, Any]:
    try:
        payload = json.loads(body)
    except ValueError as error:
        msg = "what was signed is no record"
        raise SignatureError(msg) from error
    if not isinstance(payload, dict):
        msg = "what was signed is no record"
        raise SignatureError(msg)
    return payload


def _signed_bytes(kind: str, body: bytes) -> bytes:
    """What a signature covers: the pre-authentication encoding of DSSE."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
