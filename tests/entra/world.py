"""What all modes share: the server, tenants, and what a good credential does."""

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

from checks import BrokeOff, Checks
from client import Reply, Scim, TokenEndpoint, until
from muster import Muster, Tenant

# How late an end may count, and how long it is waited for to say how late.
PROMISED_S, PATIENCE_S = 1.0, 10.0
# When a use must have been noted: it is written once a minute at most.
NOTED_S = 61.0


class World:
    """A server and the checks on it."""

    def __init__(self, muster: Muster, checks: Checks) -> None:
        self.muster, self.checks = muster, checks
        self._numbers = itertools.count(1)

    def tenant(self) -> Tenant:
        """A tenant for this scenario alone."""
        return self.muster.new_tenant(f"tenant-{next(self._numbers)}")

    def access(self, reply: Reply) -> str:
        """The access token of an answer."""
        token = reply.json().get("access_token") if reply.status == 200 else None
        if not token:
            raise BrokeOff(f"no access token: {reply}")
        return self.muster.keep_secret(token)

    def refused(self) -> tuple:
        """How the one refusal of SCIM looks: that of a request without a token."""
        return Scim(f"{self.muster.url}/scim/v2", None).test_connection().face()

    def is_let_in(self, sentence: str, scim: Scim) -> bool:
        """The check that this client may look somebody up."""
        reply = scim.test_connection()
        return self.checks.that(sentence, reply.status == 200, reply)

    def is_refused(self, sentence: str, scim: Scim) -> bool:
        """The check that this client is told what everybody is told who has no
        token: the same status, headers and bytes."""
        reply = scim.test_connection()
        return self.checks.that(sentence, reply.face() == self.refused(), reply)

    def is_no_client(self, sentence: str, reply: Reply) -> bool:
        """The check that the token endpoint does not know this client, and does
        not say why."""
        unknown = TokenEndpoint(f"{self.muster.url}/oauth2/token", str(uuid.uuid4()))
        expected = unknown.by_body("wrong").face()
        good = reply.status == 401 and reply.json().get("error") == "invalid_client"
        return self.checks.that(sentence, good and reply.face() == expected, reply)

    def ends_within_a_second(self, sentence: str, scim: Scim) -> None:
        """The check that no request is let in that is sent a second from now or
        later, but refused as every other."""
        began, last = time.monotonic(), 0.0

        def refused() -> bool:
            nonlocal last
            sent = time.monotonic() - began
            if scim.test_connection().status != 200:
                return True
            last = sent
            return False

        ended = until(refused, PATIENCE_S) is not None
        found = f"let in after {last:.2f} s"
        self.checks.that(sentence, ended and last <= PROMISED_S, found)
        self.is_refused("its refusal looks like every other", scim)

    def is_soon_no_client(self, sentence: str, ask: Callable[[], Reply]) -> None:
        """The check that the token endpoint knows the client no longer than a
        second from now."""
        until(lambda: ask().status == 401, PROMISED_S)
        self.is_no_client(sentence, ask())

    def leaves_its_address(
        self, tenant: Tenant, made: dict, bearer: str, address: str
    ) -> Iterator[float]:
        """The checks that a use of the credential from there is noted, which may
        take the minute that uses are gathered for."""
        began = time.time()
        reply = Scim(made["tenant_url"], bearer, address).test_connection()
        if reply.status != 200:
            raise BrokeOff(f"not let in: {reply}")
        yield time.monotonic() + NOTED_S
        at, where = tenant.last_use(made)
        recent = at is not None and abs(instant(at) - began) < 10
        self.checks.that("the time of its last use is listed", recent, at)
        self.checks.equal("the address of its last use is listed", where, address)

    def provisions(self, scim: Scim) -> str:
        """What Entra does from Test Connection on; the id of its user."""
        checks = self.checks
        self._is_empty("Test Connection finds nobody", scim.test_connection())
        groups = scim.find("displayName", str(uuid.uuid4()), "Groups")
        self._is_empty("Test Connection finds no group", groups)
        name = f"Runa.{uuid.uuid4()}@fernhill.example"
        created = scim.create_user(name)
        if not checks.that("a user is created", created.status == 201, created):
            raise BrokeOff("there is no user")
        user = created.json()
        path = f"/Users/{user['id']}"
        checks.equal("he is found by his name", scim.find("userName", name).json()["totalResults"], 1)
        changed = scim.patch(path, {"op": "Replace", "path": "displayName", "value": "Runa H."})
        checks.that("PATCH changes him", changed.status == 200, changed)
        disabled = scim.patch(path, {"op": "Replace", "path": "active", "value": "False"})
        checks.that("PATCH disables him", disabled.status == 200, disabled)
        now = scim.send("GET", path).json()
        checks.equal("both are seen", (now["displayName"], now["active"]), ("Runa H.", False))
        group = scim.create_group(f"Dock {uuid.uuid4()}")
        checks.that("a group is created", group.status == 201, group)
        members = {"op": "Add", "path": "members", "value": [{"$ref": None, "value": user["id"]}]}
        joined = scim.patch(f"/Groups/{group.json()['id']}", members)
        checks.that("he joins it", joined.status in (200, 204), joined)
        return user["id"]

    def _is_empty(self, sentence: str, reply: Reply) -> None:
        good = reply.status == 200 and not reply.json().get("Resources")
        good = good and reply.json()["totalResults"] == 0
        scim = (reply.header("content-type") or "").startswith("application/scim+json")
        self.checks.that(sentence, good and scim, reply)

    def sees_nothing_of(self, owner: Tenant, own: Scim, user: str, foreign: Scim) -> None:
        """The checks that a credential of another tenant does not reach this user
        of the owner's, nor learns that he is there."""
        checks = self.checks
        path = f"/Users/{user}"
        known = own.send("GET", path).json()
        everybody = foreign.send("GET", "/Users").json()
        checks.equal("a foreign tenant lists nobody", everybody["totalResults"], 0)
        found = foreign.find("userName", known["userName"]).json()
        checks.equal("a foreign tenant finds nobody by his name", found["totalResults"], 0)
        nowhere = foreign.send("GET", f"/Users/{uuid.uuid4()}").status
        replace = {"op": "Replace", "path": "displayName", "value": "Taken"}
        answers = [
            foreign.send("GET", path).status,
            foreign.patch(path, replace).status,
            foreign.send("PUT", path, {**known, "displayName": "Taken"}).status,
            foreign.send("DELETE", path).status,
        ]
        checks.equal("to a foreign tenant his id is nobody's", answers, [nowhere] * 4)
        elsewhere = Scim(owner.url_of(), foreign.bearer)
        self.is_refused("a foreign tenant is refused on the owner's own path", elsewhere)
        checks.equal("he is as he was", own.send("GET", path).json(), known)
        namesake = foreign.create_user(known["userName"])
        checks.that("a foreign tenant may use his name", namesake.status == 201, namesake)


def instant(text: str) -> float:
    """Seconds since the Unix epoch, of a time in RFC 3339."""
    return datetime.fromisoformat(text).timestamp()


def flipped(text: str, at: int) -> str:
    """The text with another letter or digit at this place."""
    other = "A" if text[at] != "A" else "B"
    return text[:at] + other + text[at:][1:]
