"""Mode (a): a long-lived Secret Token, sent with every request."""

import base64
import time
import uuid
from collections.abc import Iterator

from client import Scim, send
from world import World, flipped, instant


def provisioning(world: World) -> None:
    """bearer, from Test Connection to revocation"""
    tenant, checks = world.tenant(), world.checks
    made = tenant.create("--name", "Entra", "--expires-in", "365d")
    checks.that("the secret is recognisable", made["secret"].startswith("musc_"), made.keys())
    checks.equal("the Tenant URL is told", made["tenant_url"], f"{world.muster.url}/scim/v2")
    left = instant(made["expires_at"]) - time.time()
    checks.that("it ends when it shall", abs(left - 365 * 86400) < 300, made["expires_at"])
    scim = tenant.scim(made)
    user = world.provisions(scim)
    own = Scim(tenant.url_of(), made["secret"])
    world.is_let_in("the connection's own path lets it in", own)
    flagged = scim.send("GET", "/Users?aadOptscim062020")
    checks.that("the flag of Entra disturbs nobody", flagged.status == 200, flagged)
    foreign = world.tenant()
    world.sees_nothing_of(tenant, scim, user, foreign.scim(foreign.create()))
    tenant.revoke(made)
    world.ends_within_a_second("it is refused within a second of its revocation", scim)


def several(world: World) -> None:
    """bearer, several at a time"""
    tenant = world.tenant()
    first, second = tenant.create("--name", "first"), tenant.create("--name", "second")
    names = [tenant.listed(one)["name"] for one in (first, second)]
    world.checks.equal("each has its name", names, ["first", "second"])
    world.checks.equal("neither ends by itself", [first["expires_at"], second["expires_at"]], [None] * 2)
    world.is_let_in("the first is let in", tenant.scim(first))
    world.is_let_in("the second is let in", tenant.scim(second))
    tenant.revoke(first)
    world.ends_within_a_second("the first is revoked", tenant.scim(first))
    world.is_let_in("the second is still let in", tenant.scim(second))


def refusals(world: World) -> None:
    """bearer, refused"""
    tenant, foreign = world.tenant(), world.tenant()
    tenant.connect("okta")
    made = tenant.create()
    ending = tenant.create("--expires-in", "4s")
    revoked = tenant.create()
    tenant.revoke(revoked)
    client = tenant.create("--kind", "oauth-client")
    secret, url = made["secret"], made["tenant_url"]
    world.is_let_in("one with an end is let in before it", tenant.scim(ending))
    wrong = {
        "nothing at all": "",
        "nonsense": "nonsense",
        "a random UUID": str(uuid.uuid4()),
        "a truncated secret": secret[:-1],
        "a secret without its prefix": secret.removeprefix("musc_"),
        "a secret with a letter too many": secret + "A",
        "a secret with a mistyped letter": flipped(secret, 30),
        "a secret with a mistyped checksum": flipped(secret, -1),
        "a secret in capitals": secret.upper(),
        "two secrets glued": secret + secret,
        "another's secret under this key id": secret[:17] + revoked["secret"][17:],
        "a revoked secret": revoked["secret"],
        "an OAuth client's secret": client["secret"],
        "an OAuth client's id": client["client_id"],
        "twenty thousand letters": "musc_" + "A" * 20_000,
    }
    for name, bearer in wrong.items():
        world.is_refused(f"{name} is refused like no token", Scim(url, bearer))
    own = tenant.url_of("okta")
    world.is_refused("another connection's secret is refused like no token", Scim(own, secret))
    own = foreign.url_of()
    world.is_refused("another tenant's secret is refused like no token", Scim(own, secret))
    basic = base64.b64encode(f"x:{secret}".encode()).decode()
    for scheme, value in {"Basic": basic, "Digest": secret, "": secret}.items():
        headers = {"Accept": "application/scim+json", "Authorization": f"{scheme} {value}".strip()}
        reply = send("GET", f"{url}/Users", headers)
        same = reply.face() == world.refused()
        world.checks.that(f"a secret under the scheme {scheme!r} is refused like no token", same, reply)
    time.sleep(max(0.0, instant(ending["expires_at"]) - time.time()))
    world.is_refused("an expired secret is refused like no token", tenant.scim(ending))
    challenge = dict(world.refused()[1]).get("www-authenticate", "")
    world.checks.that("the refusal asks for a bearer", challenge.startswith("Bearer"), challenge)


def rotation(world: World) -> None:
    """bearer, rotated"""
    tenant, checks = world.tenant(), world.checks
    made = tenant.create()
    world.is_let_in("it is let in", tenant.scim(made))
    second = tenant.rotate(made, "24h")
    checks.equal("it keeps its id", second["id"], made["id"])
    checks.that("it has a new secret", second["secret"] != made["secret"])
    left = instant(second["previous_secret_expires_at"]) - time.time()
    told = second["previous_secret_expires_at"]
    checks.that("the end of the old secret is told", abs(left - 86400) < 300, told)
    world.is_let_in("the old secret is let in during the overlap", tenant.scim(made))
    world.is_let_in("the new secret is let in during the overlap", tenant.scim(second))
    third = tenant.rotate(made, "0s")
    world.ends_within_a_second("without an overlap the old secret ends at once", tenant.scim(second))
    world.ends_within_a_second("so does the one before that", tenant.scim(made))
    world.is_let_in("the newest secret is let in", tenant.scim(third))
    fourth = tenant.rotate(made, "4s")
    world.is_let_in("a short overlap lets the old secret in", tenant.scim(third))
    time.sleep(max(0.0, instant(fourth["previous_secret_expires_at"]) - time.time()))
    world.is_refused("the overlap ends", tenant.scim(third))
    world.is_let_in("the new secret outlives the overlap", tenant.scim(fourth))
    fifth = tenant.rotate(made, "24h")
    world.is_let_in("a further secret is let in", tenant.scim(fifth))
    world.is_let_in("and so is its forerunner", tenant.scim(fourth))
    tenant.revoke(made)
    world.ends_within_a_second("revoking ends the new secret", tenant.scim(fifth))
    world.ends_within_a_second("revoking ends the old secret, too", tenant.scim(fourth))


def idle_rotation(world: World) -> None:
    """bearer, what cannot be rotated"""
    tenant, foreign, checks = world.tenant(), world.tenant(), world.checks
    made, revoked = tenant.create(), tenant.create()
    tenant.revoke(revoked)
    bearer = ["credential", "rotate", "--overlap", "24h", "--json", "--id"]
    for name, identifier, owner in [
        ("a revoked credential", revoked["id"], tenant),
        ("an unknown credential", str(uuid.uuid4()), tenant),
        ("another tenant's credential", made["id"], foreign),
    ]:
        done = world.muster.run(*bearer, identifier, "--tenant", owner.name)
        good = done.returncode == 1 and not done.stdout
        checks.that(f"{name} is not rotated", good, f"{done.returncode} {done.stderr.strip()}")
    federated = tenant.federate("https://login.example.test/", "s", "a")
    done = world.muster.run(*bearer, federated["id"], "--tenant", tenant.name)
    checks.that("one without a secret is not rotated", done.returncode == 1, done.stderr.strip())
    world.is_let_in("it is let in as before", tenant.scim(made))


def last_use(world: World) -> Iterator[float]:
    """bearer, its last use"""
    tenant, checks = world.tenant(), world.checks
    made, refused = tenant.create(), tenant.create()
    checks.equal("an unused one has none", tenant.last_use(made), (None, None))
    wrong = flipped(refused["secret"], 30)
    _ = Scim(refused["tenant_url"], wrong).test_connection()
    yield from world.leaves_its_address(tenant, made, made["secret"], "127.0.7.7")
    noted = {tenant.last_use(made)}
    for number in range(8):
        _ = tenant.scim(made, f"127.0.7.{20 + number}").test_connection()
        noted.add(tenant.last_use(made))
    checks.that("it is written once a minute at most", len(noted) <= 2, noted)
    checks.equal("a mistyped secret leaves none", tenant.last_use(refused), (None, None))


SCENARIOS = [provisioning, several, refusals, rotation, idle_rotation, last_use]
