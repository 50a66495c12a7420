"""Entra's side of the wire: plain HTTP/1.1, a connection for each request."""

import base64
import http.client
import itertools
import json
import socket
import time
import urllib.parse
import uuid
from dataclasses import dataclass

from checks import BrokeOff

FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

# What differs between two answers that say the same.
OF_THE_MOMENT = {"date", "x-request-id"}

_numbers = itertools.count(1)


def new_address() -> str:
    """An address of this machine that nobody has used yet. Entra comes from many
    addresses, and what one of them may do wrong in a minute is limited."""
    number = next(_numbers)
    return f"127.77.{number // 200}.{number % 200 + 1}"


@dataclass(frozen=True)
class Reply:
    """An answer, as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for one, value in self.headers if one.lower() == name), None)

    def json(self) -> dict:
        try:
            return json.loads(self.body)
        except ValueError:
            raise BrokeOff(f"no JSON: {self}") from None

    def face(self) -> tuple:
        """All that a caller can tell it by."""
        kept = [(n.lower(), v) for n, v in self.headers if n.lower() not in OF_THE_MOMENT]
        return self.status, sorted(kept), self.body

    def __str__(self) -> str:
        retry = self.header("retry-after")
        after = f" (retry-after {retry})" if retry else ""
        return f"{self.status}{after} {self.body[:300].decode(errors='replace')}"


def send(
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes = b"",
    address: str | None = None,
    timeout_s: float = 30,
) -> Reply:
    """Sends a request from an address of this machine."""
    parts = urllib.parse.urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    source = (address or new_address(), 0)
    line = http.client.HTTPConnection(parts.hostname, parts.port, timeout_s, source)
    try:
        line.request(method, target, body or None, headers)
        answer = line.getresponse()
        return Reply(answer.status, answer.getheaders(), answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise BrokeOff(f"{method} {target}: {error!r}") from None
    finally:
        line.close()


class Scim:
    """Entra's provisioning client with a bearer."""

    def __init__(self, url: str, bearer: str | None, address: str | None = None) -> None:
        self.url, self.bearer, self.address = url, bearer, address

    def send(self, method: str, path: str, body: object = None, **options) -> Reply:
        headers = {"Accept": "application/scim+json", "ADSCIMVersion": "5.0"}
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer}"
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/scim+json; charset=utf-8"
            content = json.dumps(body).encode()
        return send(method, self.url + path, headers, content, self.address, **options)

    def find(self, attribute: str, value: str, kind: str = "Users", **options) -> Reply:
        query = urllib.parse.urlencode({"filter": f'{attribute} eq "{value}"'})
        return self.send("GET", f"/{kind}?{query}", **options)

    def test_connection(self, **options) -> Reply:
        """What the button in the portal sends: a lookup of nobody."""
        return self.find("userName", str(uuid.uuid4()), **options)

    def create_user(self, name: str) -> Reply:
        """A user as Entra's tutorial creates one."""
        return self.send(
            "POST",
            "/Users",
            {
                "schemas": [USER, ENTERPRISE],
                "externalId": str(uuid.uuid4()),
                "userName": name,
                "active": True,
                "displayName": "Runa Holm",
                "emails": [{"primary": True, "type": "work", "value": name}],
                "meta": {"resourceType": "User"},
                "name": {"formatted": "Runa Holm", "familyName": "Holm", "givenName": "Runa"},
                "roles": [],
            },
        )

    def create_group(self, name: str) -> Reply:
        body = {"schemas": [GROUP], "externalId": str(uuid.uuid4()), "displayName": name}
        return self.send("POST", "/Groups", {**body, "members": [], "meta": {"resourceType": "Group"}})

    def patch(self, path: str, *operations: dict) -> Reply:
        return self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)})


class TokenEndpoint:
    """The token endpoint, as Entra asks it."""

    def __init__(self, url: str, client_id: str) -> None:
        self.url, self.client_id = url, client_id

    def form(self, fields: dict[str, str], basic: str | None = None, **options) -> Reply:
        headers = {"Content-Type": FORM, "Accept": "application/json"}
        if basic is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()
        return send("POST", self.url, headers, urllib.parse.urlencode(fields).encode(), **options)

    def by_body(self, secret: str, scope: str = "", **options) -> Reply:
        fields = {"client_id": self.client_id, "client_secret": secret}
        if scope:
            fields["scope"] = scope
        return self.form({"grant_type": "client_credentials", **fields}, **options)

    def by_header(self, secret: str) -> Reply:
        quoted = urllib.parse.quote_plus(secret)
        return self.form({"grant_type": "client_credentials"}, f"{self.client_id}:{quoted}")

    def by_assertion(self, assertion: str, **options) -> Reply:
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": "scim",
        }
        return self.form(fields, **options)


def is_silent(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def until(happens, patience_s: float) -> float | None:
    """Seconds until it happens; none if it does not in time."""
    began = time.monotonic()
    while time.monotonic() - began < patience_s:
        if happens():
            return time.monotonic() - began
        # No faster than a tenant of Entra's may ask.
        time.sleep(0.05)
    return None
