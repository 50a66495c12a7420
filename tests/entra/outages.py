"""Issuers that roll their keys over, and issuers that do not answer."""

import threading
import time
from collections.abc import Iterator

import forgery
from client import Reply
from faces import Assertion, Own
from issuer import Issuer, Key
from world import World

# How long an issuer is left in peace after a look.
PAUSE_S = 5.5
# How long its own token is believed without another look at its keys.
TRUST_S = 60.5
# Longer than anybody waits for an issuer.
SLOW_S = 9.0


def _of_unknown_key(face) -> str:
    """A token with a key id that nobody has ever published."""
    stranger = Key()
    return forgery.assemble(forgery.header_of(stranger), face.claims(), forgery.signer(stranger))


def _good(face) -> Reply:
    return face.present(face.issuer.sign(face.claims()))


def _is_unavailable(world: World, sentence: str, reply: Reply) -> None:
    """Entra tries again after 503, and takes 401 for the end of the credential."""
    after = reply.header("retry-after") or ""
    world.checks.that(sentence, reply.status == 503 and after.isdecimal(), reply)


def _rollover(world: World, kind) -> Iterator[float]:
    issuer, checks = Issuer(), world.checks
    face = kind(world, world.tenant(), issuer)
    former = issuer.sign(face.claims())
    reply = face.present(former)
    checks.that("a token with the first key is taken", reply.status == 200, reply)
    reply = face.present(issuer.sign(face.claims(), issuer.keys[1]))
    checks.that("a token with the second key is taken", reply.status == 200, reply)
    checks.equal("the keys were fetched once for both", issuer.fetches, 1)
    for _ in range(10):
        face.present(_of_unknown_key(face))
    checks.that("tokens with unknown keys cause one fetch at most", issuer.fetches <= 2, issuer.fetches)
    before = issuer.fetches
    issuer.rotate()
    time.sleep(PAUSE_S)
    reply = _good(face)
    checks.that("a token with a new key is taken after five seconds", reply.status == 200, reply)
    reply = face.present(issuer.sign(face.claims(), issuer.keys[1]))
    checks.that("so is one with the other new key", reply.status == 200, reply)
    for _ in range(10):
        reply = face.present(_of_unknown_key(face))
    checks.equal("tokens with unknown keys are refused", reply.status, 401)
    checks.equal("the new keys were fetched once", issuer.fetches - before, 1)
    yield time.monotonic() + TRUST_S
    face.is_refused("a token with a key that was withdrawn is refused", former)
    issuer.silence()


def rollover_of_assertions(world: World) -> Iterator[float]:
    """assertion, after its issuer's keys rolled over"""
    yield from _rollover(world, Assertion)


def rollover_of_own(world: World) -> Iterator[float]:
    """Entra's own token, after its issuer's keys rolled over"""
    yield from _rollover(world, Own)


def _fallen_silent(world: World, kind) -> Iterator[float]:
    issuer, checks = Issuer(), world.checks
    face = kind(world, world.tenant(), issuer)
    reply = _good(face)
    checks.that("a token is taken", reply.status == 200, reply)
    issuer.silence()
    reply = _good(face)
    checks.that("another is taken while its issuer is silent", reply.status == 200, reply)
    yield time.monotonic() + PAUSE_S
    reply = face.present(_of_unknown_key(face))
    _is_unavailable(world, "an unknown key cannot be told from a new one: 503", reply)
    reply = _good(face)
    checks.that("a token with a known key is still taken", reply.status == 200, reply)


def silence_after_assertions(world: World) -> Iterator[float]:
    """assertion, of an issuer that fell silent"""
    yield from _fallen_silent(world, Assertion)


def silence_after_own(world: World) -> Iterator[float]:
    """Entra's own token, of an issuer that fell silent"""
    yield from _fallen_silent(world, Own)


def _outage(world: World, kind) -> None:
    issuer = Issuer()
    face = kind(world, world.tenant(), issuer)
    issuer.silence()
    _is_unavailable(world, f"{face.name}: one that refuses connections: 503", _good(face))
    issuer.speak()
    time.sleep(PAUSE_S)
    issuer.status = 500
    _is_unavailable(world, f"{face.name}: one that fails: 503", _good(face))
    time.sleep(PAUSE_S)
    issuer.status, issuer.poses_as = 200, "https://login.example.test/"
    _is_unavailable(world, f"{face.name}: one that poses as another: 503", _good(face))
    time.sleep(PAUSE_S)
    issuer.poses_as = None
    reply = _good(face)
    world.checks.that(f"{face.name}: back again, it counts", reply.status == 200, reply)
    issuer.silence()


def outages_of_both(world: World) -> None:
    """issuer, out of order"""
    for kind in (Assertion, Own):
        _outage(world, kind)


def slowness(world: World) -> None:
    """issuer, slow"""
    tenant = world.tenant()
    bearer = tenant.create()
    for kind in (Assertion, Own):
        issuer = Issuer()
        face = kind(world, tenant, issuer)
        issuer.delay_s = SLOW_S
        replies: list[Reply] = []
        caller = threading.Thread(target=lambda: replies.append(_good(face)))
        began = time.monotonic()
        caller.start()
        time.sleep(0.5)
        world.is_let_in(f"{face.name}: a bearer is let in meanwhile", tenant.scim(bearer))
        world.checks.that(f"{face.name}: nobody waits for it but who must", caller.is_alive(), replies)
        caller.join()
        took = time.monotonic() - began
        for reply in replies:
            _is_unavailable(world, f"{face.name}: who must is told to come back: 503", reply)
        world.checks.that(f"{face.name}: before it answers", replies and took < SLOW_S, f"{took:.1f} s")
        issuer.silence()


SCENARIOS = [
    rollover_of_assertions,
    rollover_of_own,
    silence_after_assertions,
    silence_after_own,
    outages_of_both,
    slowness,
]
