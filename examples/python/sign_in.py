"""A sign-in service in Python: finds who signs in, links him, issues a token, and
hears within moments that he may no longer.

`run` beside this file starts everything that it needs. It ends with 1, and says why,
when something is not as it was promised.
"""

import argparse
import json
import queue
import sys
import threading
import time
import urllib.error
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

# For each call, in seconds: without one, a call may wait for good.
TIMEOUT = 5
# Within this time a sign-out must be heard of, in seconds.
PROMISED = 1
# How long a signal is waited for, in seconds.
PATIENCE = 10


class Broken(Exception):
    """Something is not as it was promised. An `assert` would not do: `python -O`
    leaves them out."""


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


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
                admin_service_pb2.IssueServiceTokenRequest(client_assertion=assertion),
                timeout=TIMEOUT,
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
    # Another provider may call anybody what ours calls him.
    check(claims["iss"] == ISSUER, f"{claims['iss']} is not the identity provider")
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
        timeout=TIMEOUT,
    )
    return found


def resolve(directory: Directory, key: lookup_pb2.UserKey) -> lookup_service_pb2.ResolveUserResponse:
    request = lookup_service_pb2.ResolveUserRequest(
        key=key,
        groups=lookup_pb2.GroupExpansion(mode=lookup_pb2.GroupExpansion.MODE_TRANSITIVE),
    )
    return directory.lookup.ResolveUser(request, metadata=directory.bearer(), timeout=TIMEOUT)


# What cannot be resumed: what happened meanwhile nobody tells any more.
LOST = ("CURSOR_EXPIRED", "STORE_EPOCH_MISMATCH", "REVISION_INVALID")


def watch(directory: Directory, heard: queue.Queue) -> None:
    """Puts the signals that come from now on into a queue; first a None, once it
    listens; last the error that ends it. A service that keeps sessions stores
    `through` with what it did, and starts behind it again when the stream ends, which
    it does once an hour; where that is one of LOST it ends all sessions, and goes on
    from now."""
    request = signal_service_pb2.WatchSignalsRequest(from_now=True)
    try:
        # An hour is the longest that a stream may be open.
        stream = directory.signals.WatchSignals(
            request, metadata=directory.bearer(), timeout=3600
        )
        first = True
        for message in stream:
            if first:
                heard.put(None)
                first = False
            for signal in message.signals:
                heard.put(signal)
        heard.put(Broken("the stream of signals ended"))
    except grpc.RpcError as error:
        why = reason(error)
        lost = "all sessions have to end" if why in LOST else "it is to be resumed"
        heard.put(Broken(f"the stream of signals ended: {why or error.code()}; {lost}"))


def next_signal(heard: queue.Queue, what: str):
    """What comes next, if it comes in time."""
    try:
        signal = heard.get(timeout=PATIENCE)
    except queue.Empty:
        raise Broken(f"{what} did not come within {PATIENCE} s") from None
    if isinstance(signal, Broken):
        raise signal
    return signal


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
    return directory.tokens.IntrospectToken(request, metadata=directory.bearer(), timeout=TIMEOUT).active


def run(given: argparse.Namespace) -> None:
    directory = Directory(given.directory, given.key)
    entra = Entra(given.tenant_url, given.secret_token)

    oid = str(uuid.uuid4())
    created = entra.create("ada@example.test", oid)
    print("Entra provisioned ada@example.test.")

    # What Entra's ID token says at sign-in.
    claims = {"iss": ISSUER, "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "oid": oid}
    ada = sign_in(directory, given.connection, claims).user
    check(ada.id == created, f"{ada.id} signed in, and {created} was provisioned")
    federated = lookup_pb2.FederatedKey(issuer=ISSUER, subject=claims["sub"])
    linked = resolve(directory, lookup_pb2.UserKey(federated=federated)).user.id
    check(linked == ada.id, f"her identity leads to {linked}, not to {ada.id}")
    print(f"{ada.user_name} signed in, and is linked: next time her identity is enough.")

    issued = directory.tokens.IssueUserToken(
        token_service_pb2.IssueUserTokenRequest(
            user=lookup_pb2.UserKey(id=ada.id), audiences=[AUDIENCE], scopes=["read"]
        ),
        metadata=directory.bearer(),
        timeout=TIMEOUT,
    )
    check(is_active(directory, issued.access_token), "her new token is not active")
    print(f"She has a token for {AUDIENCE}; introspection says that it is active.")

    heard: queue.Queue = queue.Queue()
    threading.Thread(target=watch, args=(directory, heard), daemon=True).start()
    next_signal(heard, "the beginning of the stream")
    entra.disable(ada.id)
    answered = time.monotonic()
    print("Entra disabled her.")
    signal = next_signal(heard, "a signal")
    while signal.user_id != ada.id:
        signal = next_signal(heard, "a signal about her")
    took = time.monotonic() - answered
    kind = signal_service_pb2.SignalType.Name(signal.type)
    check(kind == "SIGNAL_TYPE_ACCOUNT_DISABLED", f"the signal is {kind}")
    check(took < PROMISED, f"the signal took {took:.3f} s")
    print(f"The signal {kind} was here {max(took, 0) * 1000:.0f} ms after Entra's answer: sign her out.")
    check(not is_active(directory, issued.access_token), "her token is still active")
    check(refused(directory, given.connection, claims) == "USER_INACTIVE", "she is refused for another reason")
    print("Her token is dead, and she cannot sign in: USER_INACTIVE.")


def refused(directory: Directory, connection: str, claims: dict) -> str:
    """Why a sign-in is refused."""
    try:
        sign_in(directory, connection, claims)
    except grpc.RpcError as error:
        return reason(error)
    raise Broken("she signed in")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("directory", "key", "tenant-url", "secret-token", "connection"):
        parser.add_argument(f"--{name}", required=True)
    try:
        run(parser.parse_args())
    except Broken as error:
        print(f"sign_in: {error}", file=sys.stderr)
    except grpc.RpcError as error:
        print(f"sign_in: the directory refused: {reason(error) or error.code()}", file=sys.stderr)
    except urllib.error.HTTPError as error:
        print(f"sign_in: the SCIM endpoint answered {error.code}", file=sys.stderr)
    except OSError as error:
        print(f"sign_in: the SCIM endpoint cannot be reached: {error}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
