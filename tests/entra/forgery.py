"""Tokens that no sane issuer would sign, made by hand."""

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from client import is_silent
from issuer import Issuer, Key, encode

# Longer than any real token, and than what a header line should have.
LONG = "x" * 15_000


def assemble(header: dict, claims: dict, sign) -> str:
    """A token with this header and these claims, whatever they say."""
    message = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{message}.{encode(sign(message.encode()))}"


def signer(key: Key, digest=None, scheme=None):
    """Signs as RS256 unless told otherwise."""
    digest, scheme = digest or hashes.SHA256(), scheme or padding.PKCS1v15()
    return lambda message: key.private.sign(message, scheme, digest)


def with_claims(issuer: Issuer, claims: dict, **changed: object) -> str:
    """Well signed, with these claims changed; `...` takes one away."""
    merged = {**claims, **changed}
    kept = {name: value for name, value in merged.items() if value is not ...}
    key = issuer.keys[0]
    return assemble(header_of(key), kept, signer(key))


def header_of(key: Key, **more: object) -> dict:
    """As Microsoft writes it."""
    return {"typ": "JWT", "alg": "RS256", "x5t": key.id, "kid": key.id, **more}


def false_claims(issuer: Issuer, other: Issuer, claims: dict) -> Iterator[tuple[str, str]]:
    """Tokens that the issuer's own key signed, and that are still not good."""
    now = int(time.time())
    for name, changed in {
        "of another issuer": {"iss": other.v2},
        "of the issuer, spelled without or with a slash": {"iss": _respelled(claims["iss"])},
        "of the issuer in capitals": {"iss": claims["iss"].upper()},
        "of nobody": {"iss": ...},
        "for another audience": {"aud": str(uuid.uuid4())},
        "for an audience that begins alike": {"aud": claims["aud"] + "0"},
        "for a list of other audiences": {"aud": ["api://one", "api://two"]},
        "for no audience": {"aud": ...},
        "about another subject": {"sub": str(uuid.uuid4())},
        "about nobody": {"sub": ...},
        "about nobody but an object id": {"sub": "", "oid": claims["sub"]},
        "that expired two minutes ago": {"iat": now - 3600, "nbf": now - 3600, "exp": now - 120},
        "that begins in two minutes": {"nbf": now + 120},
        "without an end": {"exp": ...},
        "whose end is a text": {"exp": str(now + 3600)},
        "of 20 KiB": {"groups": LONG},
    }.items():
        yield f"a token {name}", with_claims(issuer, claims, **changed)


def _respelled(url: str) -> str:
    return url[:-1] if url.endswith("/") else url + "/"


def false_signatures(issuer: Issuer, other: Issuer, claims: dict) -> Iterator[tuple[str, str]]:
    """Tokens with good claims that the issuer did not sign."""
    key, stranger = issuer.keys[0], Key()
    good = issuer.sign(claims)
    header, payload, signature = good.split(".")
    unsigned = encode(json.dumps({"typ": "JWT", "alg": "none", "kid": key.id}).encode())
    yield "a token with alg none", f"{unsigned}.{payload}."
    yield "a token with alg none and a signature", f"{unsigned}.{payload}.{signature}"
    yield "a token without its signature", f"{header}.{payload}."
    for name, secret in {
        "PEM": key.public(Encoding.PEM),
        "DER": key.public(Encoding.DER),
        "certificate": key.certificate,
    }.items():
        mac = lambda message, secret=secret: hmac.digest(secret, message, hashlib.sha256)
        token = assemble(header_of(key, alg="HS256"), claims, mac)
        yield f"a token with HS256 under the public key's {name}", token
    yield (
        "a token with another algorithm of the same key",
        assemble(header_of(key, alg="RS512"), claims, signer(key, hashes.SHA512())),
    )
    pss = signer(key, scheme=padding.PSS(padding.MGF1(hashes.SHA256()), 32))
    yield "a token with PS256", assemble(header_of(key, alg="PS256"), claims, pss)
    yield "a token with PS256 that says RS256", assemble(header_of(key), claims, pss)
    yield "a token re-signed under the same kid", assemble(header_of(key), claims, signer(stranger))
    yield "a token with another issuer's kid and key", other.sign(claims, other.keys[0])
    yield (
        "a token with this issuer's kid and another's key",
        assemble(header_of(key), claims, signer(other.keys[0])),
    )
    yield (
        "a token with the kid of the issuer's other key",
        assemble(header_of(issuer.keys[1]), claims, signer(key)),
    )
    without = header_of(key)
    del without["kid"]
    yield "a token without a kid", assemble(without, claims, signer(key))
    yield "a token with an unknown kid", assemble(header_of(stranger), claims, signer(stranger))
    yield (
        "a token that brings its own key",
        assemble(header_of(stranger, jwk=stranger.jwk(claims["iss"])), claims, signer(stranger)),
    )
    yield (
        "a token that says what must be understood",
        assemble(header_of(key, crit=["b64x"], b64x=True), claims, signer(key)),
    )
    swapped = encode(json.dumps({**claims, "exp": claims["exp"] + 60}).encode())
    yield "a token changed after it was signed", f"{header}.{swapped}.{signature}"


def false_shapes(good: str) -> Iterator[tuple[str, str]]:
    """What is no token, though it consists of one that is good."""
    header, payload, signature = good.split(".")
    yield "two tokens glued by a dot", f"{good}.{good}"
    yield "two tokens glued by nothing", good + good
    yield "two tokens glued by a comma", f"{good},{good}"
    yield "a token with a fourth part", f"{good}.{signature}"
    yield "a token with two parts", f"{header}.{payload}"
    yield "a truncated token", good[:-8]
    yield "a padded token", f"{good}=="
    yield "a token in quotes", f'"{good}"'
    yield "three parts of nothing", "e30.e30.e30"
    yield "two dots", ".."


class Lure:
    """An address that somebody wants to be asked for keys."""

    def __init__(self) -> None:
        self.issuer = Issuer()

    def tokens(self, victim: Issuer, claims: dict) -> Iterator[tuple[str, str]]:
        """Tokens that name the address wherever a token can."""
        lure, key = self.issuer, self.issuer.keys[0]
        keys = f"{lure.base}/{lure.tid}/discovery/v2.0/keys"
        for name in ("jku", "x5u"):
            header = {**header_of(key), name: keys}
            yield f"a token whose {name} names a stranger", assemble(header, claims, signer(key))
        named = header_of(key, kid=keys)
        yield "a token whose kid names a stranger", assemble(named, claims, signer(key))
        yield "a stranger's own token", lure.sign({**claims, "iss": lure.v1})
        yield "a stranger's own token of version 2", lure.sign({**claims, "iss": lure.v2})
        begins = f"{victim.base}@127.0.0.1:{lure.port}/{lure.tid}/v2.0"
        yield "a stranger's token whose issuer begins alike", lure.sign({**claims, "iss": begins})

    def was_asked(self) -> bool:
        """Whether anybody came."""
        return self.issuer.requests > 0

    def close(self) -> bool:
        """Whether it is gone."""
        self.issuer.silence()
        return is_silent(self.issuer.port)
