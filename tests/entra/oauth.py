"""Mode (b): OAuth 2.0 client credentials, traded for access tokens."""

import json
import time
import urllib.parse
import uuid
from collections.abc import Iterator

from client import FORM, Scim, TokenEndpoint, send
from world import World, flipped, instant

GRANT = {"grant_type": "client_credentials"}


def provisioning(world: World) -> None:
    """oauth-client, from Test Connection to revocation"""
    tenant, checks = world.tenant(), world.checks
    made = tenant.create("--kind", "oauth-client", "--name", "Entra", "--expires-in", "730d")
    expected = f"{world.muster.url}/oauth2/token"
    checks.equal("the token endpoint is told", made["token_endpoint"], expected)
    endpoint = tenant.token_endpoint(made)
    token = _trades(world, "the secret in the body", endpoint.by_body(made["secret"]))
    scoped = endpoint.by_body(made["secret"], scope="https://directory.example.com/.default")
    _trades(world, "the secret in the body, with a scope", scoped)
    by_header = _trades(world, "the secret in the header", endpoint.by_header(made["secret"]))
    scim = Scim(made["tenant_url"], token)
    user = world.provisions(scim)
    world.is_let_in("the other token is let in", Scim(made["tenant_url"], by_header))
    world.is_let_in("the connection's own path lets it in", Scim(tenant.url_of(), token))
    foreign = world.tenant()
    theirs = foreign.create("--kind", "oauth-client")
    traded = world.access(foreign.token_endpoint(theirs).by_body(theirs["secret"]))
    world.sees_nothing_of(tenant, scim, user, Scim(theirs["tenant_url"], traded))
    tenant.revoke(made)
    world.ends_within_a_second("its token is refused within a second of its revocation", scim)
    world.is_soon_no_client("it gets no more tokens", lambda: endpoint.by_body(made["secret"]))
    world.is_let_in("the foreign token is still let in", Scim(theirs["tenant_url"], traded))


def _trades(world: World, what: str, reply) -> str:
    """Checks an answer that brings a token."""
    token = world.access(reply)
    body = reply.json()
    good = body.get("token_type", "").lower() == "bearer" and reply.header("content-type").startswith(
        "application/json"
    )
    world.checks.that(f"{what} buys a bearer", good, reply)
    lives = body.get("expires_in")
    within = isinstance(lives, int) and 3600 <= lives <= 21600
    world.checks.that(f"{what} buys it for one to six hours", within, lives)
    kept = reply.header("cache-control") or ""
    world.checks.that(f"{what} buys what nobody keeps", "no-store" in kept, kept)
    return token


def malformed(world: World) -> None:
    """oauth-client, malformed requests"""
    tenant, checks = world.tenant(), world.checks
    made = tenant.create("--kind", "oauth-client")
    endpoint, secret = tenant.token_endpoint(made), made["secret"]
    fields = {"client_id": made["client_id"], "client_secret": secret}
    as_json = json.dumps({**GRANT, **fields}).encode()
    basic = f"{made['client_id']}:{secret}"
    asked = send("POST", endpoint.url, {"Content-Type": "application/json"}, as_json)
    told = asked.status in (400, 415) and asked.json().get("error") == "invalid_request"
    checks.that("a body of JSON is an invalid request", told, asked)
    both = endpoint.form({**GRANT, **fields}, basic)
    password = endpoint.form({**fields, "grant_type": "password"})
    refresh = endpoint.form({**fields, "grant_type": "refresh_token"})
    for name, reply, error in [
        ("no grant type", endpoint.form(fields), "invalid_request"),
        ("a secret in the body and in the header", both, "invalid_request"),
        ("two client ids", endpoint.form({**GRANT, "client_id": "x"}, basic), "invalid_request"),
        ("a password", password, "unsupported_grant_type"),
        ("a refresh token", refresh, "unsupported_grant_type"),
    ]:
        checks.equal(f"{name}: {error}", (reply.status, reply.json().get("error")), (400, error))
    got = send("GET", endpoint.url, {})
    checks.equal("GET is not the method", got.status, 405)
    url = f"{endpoint.url}?{urllib.parse.urlencode({**GRANT, **fields})}"
    asked = send("POST", url, {"Content-Type": FORM})
    checks.that("a secret in the URL counts for nothing", asked.status in (400, 401), asked)
    _trades(world, "the right request", endpoint.by_body(secret))


def refusals(world: World) -> None:
    """oauth-client, refused"""
    tenant, foreign = world.tenant(), world.tenant()
    made, other = (tenant.create("--kind", "oauth-client") for _ in range(2))
    revoked, theirs = tenant.create("--kind", "oauth-client"), foreign.create("--kind", "oauth-client")
    bearer = tenant.create()
    federated = tenant.federate("https://login.example.test/", "s", "a")
    tenant.revoke(revoked)
    endpoint, secret = tenant.token_endpoint(made), made["secret"]
    token = world.access(endpoint.by_body(secret))
    for name, reply in {
        "a wrong secret": endpoint.by_body("wrong"),
        "a truncated secret": endpoint.by_body(secret[:-1]),
        "a secret with a mistyped letter": endpoint.by_body(flipped(secret, 30)),
        "another client's secret": endpoint.by_body(other["secret"]),
        "a foreign tenant's secret": endpoint.by_body(theirs["secret"]),
        "a revoked client's own secret": tenant.token_endpoint(revoked).by_body(revoked["secret"]),
        "a bearer under a client's id": endpoint.by_body(bearer["secret"]),
        "a bearer under its own id": TokenEndpoint(endpoint.url, bearer["id"]).by_body(bearer["secret"]),
        "a federated client's id": tenant.token_endpoint(federated).by_body(secret),
        "an access token in place of the secret": endpoint.by_body(token),
        "an access token as an assertion": endpoint.by_assertion(token),
        "no secret": endpoint.form({**GRANT, "client_id": made["client_id"]}),
        "an empty secret": endpoint.by_body(""),
    }.items():
        world.is_no_client(f"{name} is no client", reply)
    by_header = endpoint.by_header("wrong")
    challenge = by_header.header("www-authenticate") or ""
    told = by_header.status == 401 and challenge.startswith("Basic")
    world.checks.that("a wrong secret in the header is asked for Basic", told, by_header)
    unknown = TokenEndpoint(endpoint.url, str(uuid.uuid4())).by_header(secret)
    same = unknown.face() == by_header.face()
    world.checks.that("an unknown client in the header is told the same", same, unknown)
    url = made["tenant_url"]
    world.is_refused("a client's secret is no bearer", Scim(url, secret))
    world.is_refused("a tampered token is refused", Scim(url, flipped(token, len(token) // 2)))
    world.is_refused("a truncated token is refused", Scim(url, token[:-1]))
    world.is_refused("a token is refused on a foreign path", Scim(foreign.url_of(), token))


def several(world: World) -> None:
    """oauth-client, several at a time"""
    tenant = world.tenant()
    first, second = (tenant.create("--kind", "oauth-client") for _ in range(2))
    mine, others = (
        Scim(one["tenant_url"], world.access(tenant.token_endpoint(one).by_body(one["secret"])))
        for one in (first, second)
    )
    tenant.revoke(first)
    world.ends_within_a_second("the first is revoked", mine)
    world.is_let_in("the second's token is still let in", others)
    again = tenant.token_endpoint(second).by_body(second["secret"])
    world.checks.that("the second still gets tokens", again.status == 200, again)


def rotation(world: World) -> None:
    """oauth-client, rotated"""
    tenant, checks = world.tenant(), world.checks
    made = tenant.create("--kind", "oauth-client")
    endpoint = tenant.token_endpoint(made)
    before = Scim(made["tenant_url"], world.access(endpoint.by_body(made["secret"])))
    second = tenant.rotate(made, "24h")
    checks.equal("it keeps its client id", second["client_id"], made["client_id"])
    for name, secret in [("old", made["secret"]), ("new", second["secret"])]:
        bought = Scim(made["tenant_url"], world.access(endpoint.by_body(secret)))
        world.is_let_in(f"the {name} secret buys tokens in the body", bought)
        bought = Scim(made["tenant_url"], world.access(endpoint.by_header(secret)))
        world.is_let_in(f"the {name} secret buys tokens in the header", bought)
    world.is_let_in("a token from before is still let in", before)
    third = tenant.rotate(made, "0s")
    for name, former in [("the old secret", second), ("the one before that", made)]:
        ask = lambda former=former: endpoint.by_body(former["secret"])
        world.is_soon_no_client(f"without an overlap {name} ends at once", ask)
    bought = endpoint.by_body(third["secret"])
    checks.that("the newest secret buys tokens", bought.status == 200, bought)


def ending(world: World) -> None:
    """oauth-client, its end"""
    tenant, checks = world.tenant(), world.checks
    soon = tenant.create("--kind", "oauth-client", "--expires-in", "10m")
    lives = tenant.token_endpoint(soon).by_body(soon["secret"]).json().get("expires_in")
    checks.that("no token outlives its client", isinstance(lives, int) and 0 < lives <= 600, lives)
    made = tenant.create("--kind", "oauth-client", "--expires-in", "4s")
    endpoint = tenant.token_endpoint(made)
    scim = Scim(made["tenant_url"], world.access(endpoint.by_body(made["secret"])))
    world.is_let_in("its token is let in before", scim)
    time.sleep(max(0.0, instant(made["expires_at"]) - time.time()))
    world.is_refused("its token ends with it", scim)
    world.is_no_client("an expired client is no client", endpoint.by_body(made["secret"]))


def last_use(world: World) -> Iterator[float]:
    """oauth-client, its last use"""
    tenant = world.tenant()
    made = tenant.create("--kind", "oauth-client")
    token = world.access(tenant.token_endpoint(made).by_body(made["secret"], address="127.0.7.9"))
    yield from world.leaves_its_address(tenant, made, token, "127.0.7.9")


SCENARIOS = [provisioning, malformed, refusals, several, rotation, ending, last_use]
