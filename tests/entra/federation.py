"""Mode (c): workload identity. Entra proves itself with tokens that it signs."""

import threading
import time
import uuid
from collections.abc import Iterator

import forgery
from client import Scim, TokenEndpoint
from faces import Assertion, Own
from issuer import CUSTOM_APPS, Issuer
from world import World, instant


def _bought(world: World, face: Assertion) -> str:
    """A token for an assertion of this moment."""
    return world.access(face.present(face.issuer.sign(face.claims())))


def asserting(world: World) -> None:
    """assertion, from Test Connection to revocation"""
    checks, issuer = world.checks, Issuer()
    tenant, foreign = world.tenant(), world.tenant()
    face, theirs = Assertion(world, tenant, issuer), Assertion(world, foreign, issuer)
    checks.that("no secret is handed out", not face.credential.get("secret"), face.credential.keys())
    expected = f"{world.muster.url}/oauth2/token"
    checks.equal("the token endpoint is told", face.credential["token_endpoint"], expected)
    reply = face.present(issuer.sign(face.claims()))
    token = world.access(reply)
    lives = reply.json().get("expires_in")
    checks.that("it buys one to six hours", isinstance(lives, int) and 3600 <= lives <= 21600, lives)
    scim = Scim(face.credential["tenant_url"], token)
    user = world.provisions(scim)
    other = Scim(theirs.credential["tenant_url"], _bought(world, theirs))
    world.sees_nothing_of(tenant, scim, user, other)
    crossed = theirs.present(issuer.sign(face.claims()))
    world.is_no_client("one client's assertion is not another's", crossed)
    tenant.revoke(face.credential)
    world.ends_within_a_second("its token is refused within a second of its revocation", scim)
    ask = lambda: face.present(issuer.sign(face.claims()))
    world.is_soon_no_client("it gets no more tokens", ask)
    issuer.silence()


def asserting_variants(world: World) -> None:
    """assertion, what is good as well"""
    checks, issuer = world.checks, Issuer()
    face = Assertion(world, world.tenant(), issuer)
    claims, now = face.claims(), int(time.time())
    for name, token in {
        "for the bare application id": issuer.sign({**claims, "aud": face.application}),
        "for a list with the application": issuer.sign({**claims, "aud": [claims["aud"]]}),
        "with the issuer's other key": issuer.sign(claims, issuer.keys[1]),
        "of a clock that is ten seconds fast": issuer.sign({**claims, "nbf": now + 10, "iat": now + 10}),
        "that ended five seconds ago": issuer.sign({**claims, "exp": now - 5}),
    }.items():
        reply = face.present(token)
        checks.that(f"one {name} buys a token", reply.status == 200, reply)
    same = issuer.sign(claims)
    twice = [face.present(same).status for _ in range(2)]
    checks.equal("one without jti may come twice", twice, [200, 200])
    bare = face.tenant.federate(issuer.v2, face.subject, face.application)
    reply = TokenEndpoint(face.endpoint.url, bare["client_id"]).by_assertion(issuer.sign(claims))
    checks.that("a client with the bare id takes api://", reply.status == 200, reply)
    fields = {"grant_type": "client_credentials", "client_id": bare["client_id"]}
    wrong = face.endpoint.form({**fields, "client_assertion": same, "client_assertion_type": "urn:x"})
    told = (wrong.status, wrong.json().get("error"))
    checks.equal("another type of assertion is an invalid request", told, (400, "invalid_request"))
    both = {"client_assertion": same, "client_secret": same}
    wrong = face.endpoint.form({**fields, **both})
    told = (wrong.status, wrong.json().get("error"))
    checks.equal("a secret beside it is an invalid request", told, (400, "invalid_request"))
    world.is_no_client("it is no secret", face.endpoint.by_body(same))
    issuer.silence()


def own(world: World) -> None:
    """Entra's own token, from Test Connection to revocation"""
    issuer = Issuer()
    tenant, foreign = world.tenant(), world.tenant()
    face, theirs = Own(world, tenant, issuer), Own(world, foreign, issuer)
    scim = face.scim()
    user = world.provisions(scim)
    world.is_let_in("the next token is let in", face.scim())
    path = Scim(tenant.url_of(), scim.bearer)
    world.is_let_in("the connection's own path lets it in", path)
    world.sees_nothing_of(tenant, scim, user, theirs.scim())
    endpoint = TokenEndpoint(face.credential["token_endpoint"], face.credential["client_id"])
    world.is_no_client("it is no secret", endpoint.by_body(scim.bearer))
    tenant.revoke(face.credential)
    world.ends_within_a_second("it is refused within a second of its revocation", scim)
    world.is_let_in("the foreign token is still let in", theirs.scim())
    issuer.silence()


def own_variants(world: World) -> None:
    """Entra's own token, what is good as well"""
    checks, issuer, tenant = world.checks, Issuer(), world.tenant()
    face = Own(world, tenant, issuer)
    claims, now = face.claims(), int(time.time())
    for name, token in {
        "with the issuer's other key": issuer.sign(claims, issuer.keys[1]),
        "for api:// and the application": issuer.sign({**claims, "aud": f"api://{CUSTOM_APPS}"}),
        "of a clock that is ten seconds fast": issuer.sign({**claims, "nbf": now + 10, "iat": now + 10}),
        "that ended five seconds ago": issuer.sign({**claims, "exp": now - 5}),
    }.items():
        reply = face.present(token)
        checks.that(f"one {name} is let in", reply.status == 200, reply)
    audience = f"api://{uuid.uuid4()}"
    made = tenant.federate(issuer.v2, face.subject, audience)
    token = issuer.sign(issuer.assertion(face.subject, audience))
    world.is_let_in("one of version 2 is let in, too", Scim(made["tenant_url"], token))
    claims = ["--issuer", issuer.v1, "--subject", "ending", "--audience", CUSTOM_APPS]
    ending = tenant.create("--kind", "federated", *claims, "--expires-in", "4s")
    scim = Scim(ending["tenant_url"], issuer.sign(issuer.own_token("ending")))
    world.is_let_in("a credential with an end lets it in before", scim)
    time.sleep(max(0.0, instant(ending["expires_at"]) - time.time()))
    world.is_refused("a credential with an end lets it in no longer", scim)
    issuer.silence()


def own_ambiguous(world: World) -> None:
    """Entra's own token, of two connections"""
    checks, issuer = world.checks, Issuer()
    tenant, foreign = world.tenant(), world.tenant()
    tenant.connect("second")
    subject = str(uuid.uuid4())
    first = tenant.federate(issuer.v1, subject, CUSTOM_APPS)
    again = tenant.federate(issuer.v1, subject, CUSTOM_APPS)
    token = world.muster.keep_secret(issuer.sign(issuer.own_token(subject)))
    checks.equal("the Tenant URL names the connection", first["tenant_url"], tenant.url_of())
    plain = Scim(f"{world.muster.url}/scim/v2", token)
    world.is_let_in("two credentials of one connection are one", plain)
    tenant.revoke(again)
    theirs = foreign.federate(issuer.v1, subject, CUSTOM_APPS)
    mine, others = Scim(tenant.url_of(), token), Scim(foreign.url_of(), token)
    _is_undecided(world, plain)
    user = world.provisions(mine)
    found = [scim.send("GET", f"/Users/{user}").status for scim in (mine, others)]
    checks.equal("the path decides whose users it reaches", found, [200, 404])
    without = Scim(tenant.url_of("second"), token)
    world.is_refused("a connection without such a credential refuses it", without)
    foreign.revoke(theirs)
    world.ends_within_a_second("a revoked one lets nobody in by its path", others)
    time.sleep(1)
    world.is_let_in("a revoked one is not in the way", plain)
    second = tenant.federate(issuer.v1, subject, CUSTOM_APPS, connection="second")
    _is_undecided(world, plain)
    tenant.revoke(second)
    issuer.silence()


def _is_undecided(world: World, plain: Scim) -> None:
    """A server may have looked a moment ago, and then finds one for a second."""
    time.sleep(1)
    world.is_refused("the plain path does not choose between two connections", plain)


def _forgeries(world: World, face) -> None:
    """Every token that must be refused, with good ones before and after."""
    issuer, other, lure = face.issuer, Issuer(), forgery.Lure()
    # The other issuer is one whose word counts, elsewhere.
    type(face)(world, world.tenant(), other)
    claims = face.claims()
    good = issuer.sign(claims)
    before = face.present(good)
    world.checks.that("a good token is taken before", before.status == 200, before)
    for name, token in [
        *forgery.false_claims(issuer, other, claims),
        *forgery.false_signatures(issuer, other, claims),
        *forgery.false_shapes(good),
        *lure.tokens(issuer, claims),
    ]:
        face.is_refused(f"{name} is refused", token)
    world.checks.that("no stranger is asked for keys", not lure.was_asked(), lure.issuer.requests)
    after = face.present(issuer.sign(face.claims()))
    world.checks.that("a good token is taken after", after.status == 200, after)
    for one in (issuer, other, lure.issuer):
        one.silence()


def forged_assertions(world: World) -> None:
    """assertion, forged"""
    _forgeries(world, Assertion(world, world.tenant(), Issuer()))


def forged_own(world: World) -> None:
    """Entra's own token, forged"""
    face = Own(world, world.tenant(), Issuer())
    _forgeries(world, face)


def last_use(world: World) -> Iterator[float]:
    """Entra's own token, its last use"""
    issuer, tenant = Issuer(), world.tenant()
    face = Own(world, tenant, issuer)
    token = issuer.sign(face.claims())
    yield from world.leaves_its_address(tenant, face.credential, token, "127.0.7.10")
    issuer.silence()


def together(world: World) -> None:
    """issuer, asked by many at once"""
    for kind in (Assertion, Own):
        issuer = Issuer()
        issuer.delay_s = 0.3
        face = kind(world, world.tenant(), issuer)
        token, statuses = issuer.sign(face.claims()), []
        callers = [
            threading.Thread(target=lambda: statuses.append(face.present(token).status))
            for _ in range(12)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        world.checks.equal(f"{face.name}: all get in", statuses, [200] * 12)
        world.checks.equal(f"{face.name}: its keys are fetched once", issuer.fetches, 1)
        issuer.silence()


SCENARIOS = [
    asserting,
    asserting_variants,
    own,
    own_variants,
    own_ambiguous,
    forged_assertions,
    forged_own,
    last_use,
    together,
]
