"""A sign-in service in Python: finds who signs in, links him, issues a token, and
hears within moments that he may no longer.

`run` beside this file starts everything that it needs.
"""

import argparse
import json
import queue
import threading
import time
import urllib.request
import uuid

import grpc
import jwt
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from identity.directory.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    lookup_pb2,
    lookup_service_pb2,
    lookup_service_pb2_grpc,
    signal_service_pb2,
    signal_service_pb2_grpc,
    token_service_pb2,
    token_service_pb2_grpc,
    types_pb2,
    user_service_pb2,
    user_service_pb2_grpc,
)

ISSUER = "https://login.example.test/tenant"
AUDIENCE = "https://app.example.test"


class Directory:
    """The directory's services, with a token for this service's key."""

    def __init__(self, address: str, key_file: str):
        self.channel = grpc.insecure_channel(address)
        with open(key_file, encoding="utf-8") as file:
            self.key = json.load(file)
        self.users = user_service_pb2_grpc.UserServiceStub(self.channel)
        self.lookup = lookup_service_pb2_grpc.DirectoryLookupServiceStub(self.channel)
        self.tokens = token_service_pb2_grpc.TokenServiceStub(self.channel)
        self.signals = signal_service_pb2_grpc.SignalServiceStub(self.channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(self.channel)
        self.token, self.until = "", 0.0

    def bearer(self) -> list[tuple[str, str]]:
        """Metadata with a token that lives for a while yet (RFC 7523)."""
        if time.time() > self.until - 60:
            now = int(time.time())
            claims = {
                "iss": self.key["client_id"],
                "sub": self.key["client_id"],
                "aud": self.key["aud"],
                "iat": now,
                "exp": now + 60,
                "jti": str(uuid.uuid4()),
            }
            key = jwt.PyJWK(self.key)
            assertion = jwt.encode(
                claims, key.key, algorithm="EdDSA", headers={"kid": self.key["kid"]}
            )
            answer = self.admin.IssueServiceToken(
                admin_service_pb2.IssueServiceTokenRequest(client_assertion=assertion)
            )
            self.token, self.until = answer.access_token, now + answer.expires_in.seconds
        return [("authorization", f"Bearer {self.token}")]


def reason(error: grpc.RpcError) -> str:
    """Why a call was refused. Programs go by this, never by the text."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""


def sign_in(directory: Directory, connection: str, claims: dict) -> lookup_service_pb2.ResolveUserResponse:
    """Finds the user whom an identity provider speaks of. The first time he is found
    by the externalId that the same provider provisioned him with, and linked; never by
    his e-mail address, which he may be able to choose."""
    federated = lookup_pb2.FederatedKey(issuer=claims["iss"], subject=claims["sub"])
    try:
        return resolve(directory, lookup_pb2.UserKey(federated=federated))
    except grpc.RpcError as error:
        if reason(error) != "USER_NOT_FOUND":
            raise
    external = lookup_pb2.ExternalKey(connection_id=connection, external_id=claims["oid"])
    found = resolve(directory, lookup_pb2.UserKey(external=external))
    directory.users.LinkFederatedIdentity(
        user_service_pb2.LinkFederatedIdentityRequest(
            user_id=found.user.id,
            identity=types_pb2.FederatedIdentity(issuer=claims["iss"], subject=claims["sub"]),
        ),
        metadata=directory.bearer(),
        timeout=5,
    )
    return found


def resolve(directory: Directory, key: lookup_pb2.UserKey) -> lookup_service_pb2.ResolveUserResponse:
    request = lookup_service_pb2.ResolveUserRequest(
        key=key,
        groups=lookup_pb2.GroupExpansion(mode=lookup_pb2.GroupExpansion.MODE_TRANSITIVE),
    )
    return directory.lookup.ResolveUser(request, metadata=directory.bearer(), timeout=5)


def watch(directory: Directory, heard: queue.Queue) -> None:
    """Puts the signals that come from now on into a queue; first a None, once it
    listens. A service that keeps sessions stores `through` with what it did, and
    starts behind it again when the stream ends, which it does once an hour."""
    request = signal_service_pb2.WatchSignalsRequest(from_now=True)
    stream = directory.signals.WatchSignals(request, metadata=directory.bearer())
    heard.put(None)
    try:
        for message in stream:
            for signal in message.signals:
                heard.put(signal)
            if not message.signals:
                heard.put(None)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.CANCELLED:
            raise


class Entra:
    """Plays the provisioning client."""

    def __init__(self, tenant_url: str, secret: str):
        self.url, self.secret = tenant_url, secret

    def send(self, method: str, path: str, body: dict) -> dict:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.secret}",
                "Content-Type": "application/scim+json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def create(self, user_name: str, oid: str) -> str:
        body = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": user_name,
            "externalId": oid,
            "displayName": "Ada",
            "active": True,
        }
        return self.send("POST", "/Users", body)["id"]

    def disable(self, user_id: str) -> None:
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "Replace", "path": "active", "value": "False"}],
        }
        self.send("PATCH", f"/Users/{user_id}", body)


def is_active(directory: Directory, token: str) -> bool:
    request = token_service_pb2.IntrospectTokenRequest(token=token, expected_audience=AUDIENCE)
    return directory.tokens.IntrospectToken(request, metadata=directory.bearer(), timeout=5).active


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("directory", "key", "tenant-url", "secret-token", "connection"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    directory = Directory(given.directory, given.key)
    entra = Entra(given.tenant_url, given.secret_token)

    oid = str(uuid.uuid4())
    entra.create("ada@example.test", oid)
    print("Entra provisioned ada@example.test.")

    # What Entra's ID token says at sign-in.
    claims = {"iss": ISSUER, "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "oid": oid}
    ada = sign_in(directory, given.connection, claims).user
    assert sign_in(directory, given.connection, claims).user.id == ada.id
    print(f"{ada.user_name} signed in, and is linked: next time her identity is enough.")

    issued = directory.tokens.IssueUserToken(
        token_service_pb2.IssueUserTokenRequest(
            user=lookup_pb2.UserKey(id=ada.id), audiences=[AUDIENCE], scopes=["read"]
        ),
        metadata=directory.bearer(),
        timeout=5,
    )
    assert is_active(directory, issued.access_token)
    print(f"She has a token for {AUDIENCE}; introspection says that it is active.")

    heard: queue.Queue = queue.Queue()
    threading.Thread(target=watch, args=(directory, heard), daemon=True).start()
    heard.get(timeout=10)
    heard.get(timeout=10)
    entra.disable(ada.id)
    answered = time.monotonic()
    print("Entra disabled her.")
    while (signal := heard.get(timeout=10)) is None or signal.user_id != ada.id:
        pass
    took = time.monotonic() - answered
    kind = signal_service_pb2.SignalType.Name(signal.type)
    assert kind == "SIGNAL_TYPE_ACCOUNT_DISABLED", kind
    assert took < 1, f"it took {took:.3f} s"
    print(f"The signal {kind} was here {max(took, 0) * 1000:.0f} ms after Entra's answer: sign her out.")
    assert not is_active(directory, issued.access_token)
    try:
        sign_in(directory, given.connection, claims)
        raise AssertionError("she signed in")
    except grpc.RpcError as error:
        assert reason(error) == "USER_INACTIVE", reason(error)
    print("Her token is dead, and she cannot sign in: USER_INACTIVE.")


if __name__ == "__main__":
    main()
