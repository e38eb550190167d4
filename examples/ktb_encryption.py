"""The codec of kafka-temporal-bridge for workflows in Python that submit rows to it: AES-256-GCM, with the id of the workflow
and the payload's purpose as additional data. Copy this file. It needs `temporalio` from 1.20 on, and `cryptography`.

    converter = dataclasses.replace(
        temporalio.converter.default(),
        payload_codec=EncryptionCodec({"k1": os.environ["KTB_KEY"]}, active="k1"),
        failure_converter_class=temporalio.converter.DefaultFailureConverterWithEncodedAttributes,
    )
    client = await Client.connect(address, data_converter=converter)

Keys are the same as in `temporal.encryption` of the bridge: 32 bytes each, in base64 or as hexadecimal digits.
"""

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

ENCODING = b"binary/ktb-encrypted"
NONCE_BYTES = 12
# What requesters encrypt is for this, so that nobody can use something else for it.
PURPOSE = "request"


class EncryptionCodec(PayloadCodec, WithSerializationContext):
    """Encrypts with the active key, and decrypts with all of them. Without an active key it only decrypts."""

    def __init__(self, keys: Mapping[str, str], active: str | None = None) -> None:
        self._keys = {_name(key_id, key): AESGCM(key) for key_id, key in ((i, _parse(i, k)) for i, k in keys.items())}
        self._active = next((name for name in self._keys if active is not None and name.startswith(f"{active}:")), None)
        if active is not None and self._active is None:
            raise ValueError(f"the active key {active} is not among the keys")
        self._workflow_id: str | None = None

    def with_context(self, context: SerializationContext) -> "EncryptionCodec":
        """The codec for the payloads of one workflow, or for a signal to it."""
        codec = object.__new__(type(self))
        codec.__dict__.update(self.__dict__)
        if isinstance(context, (WorkflowSerializationContext, ActivitySerializationContext)):
            codec._workflow_id = context.workflow_id
        return codec

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        if self._active is None:
            return payload
        workflow_id = self._workflow_id or ""
        nonce = os.urandom(NONCE_BYTES)
        additional = _additional_data(self._active, PURPOSE, workflow_id)
        sealed = self._keys[self._active].encrypt(nonce, payload.SerializeToString(), additional)
        metadata = {
            "encoding": ENCODING,
            "ktb-key": self._active.encode(),
            "ktb-purpose": PURPOSE.encode(),
            "ktb-workflow": workflow_id.encode(),
        }
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        name = payload.metadata.get("ktb-key", b"").decode("ascii", "replace")
        workflow_id = payload.metadata.get("ktb-workflow", b"").decode()
        purpose = payload.metadata.get("ktb-purpose", b"").decode()
        if purpose == "" or "\n" in purpose:
            raise ValueError("a payload is encrypted for no purpose")
        key = self._keys.get(name)
        if key is None:
            raise ValueError(f"a payload is encrypted with key {name!r}, which is not here")
        if self._workflow_id is not None and self._workflow_id != workflow_id:
            raise ValueError("a payload is encrypted for another workflow")
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(key.decrypt(nonce, sealed, _additional_data(name, purpose, workflow_id)))
        except InvalidTag:
            raise ValueError(f"a payload was changed, or was not encrypted with key {name!r}") from None


def _additional_data(name: str, purpose: str, workflow_id: str) -> bytes:
    return f"ktb-encrypted/1\n{name}\n{purpose}\n{workflow_id}".encode()


def _name(key_id: str, key: bytes) -> str:
    """The id of a key, and a check value by which a wrong key of the same id is recognized."""
    return f"{key_id}:{hmac.digest(key, b'ktb-key-check', hashlib.sha256).hex()[:8]}"


def _parse(key_id: str, text: str) -> bytes:
    if not re.fullmatch("[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}", key_id):
        raise ValueError(f"{key_id!r} is no id of a key: it has a-z, A-Z, 0-9, dash, underscore; 32 at most")
    if re.fullmatch("[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    if re.fullmatch("[A-Za-z0-9+/_-]{43}=?", text):
        return base64.urlsafe_b64decode(text.rstrip("=").replace("+", "-").replace("/", "_") + "=")
    raise ValueError(f"key {key_id} must be 32 bytes, in base64 or as 64 hexadecimal digits")
