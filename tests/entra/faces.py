"""The two ways in which a token of Entra's own is presented."""

import uuid

from client import Reply, Scim
from issuer import Issuer
from muster import Tenant
from world import World


class Assertion:
    """At the token endpoint, as the assertion of RFC 7523."""

    name = "assertion"

    def __init__(self, world: World, tenant: Tenant, issuer: Issuer) -> None:
        self.world, self.tenant, self.issuer = world, tenant, issuer
        self.application, self.subject = str(uuid.uuid4()), str(uuid.uuid4())
        audience = f"api://{self.application}"
        self.credential = tenant.federate(issuer.v2, self.subject, audience)
        self.endpoint = tenant.token_endpoint(self.credential)

    def claims(self) -> dict:
        return self.issuer.assertion(self.subject, f"api://{self.application}")

    def present(self, token: str, **options) -> Reply:
        self.world.muster.keep_secret(token)
        return self.endpoint.by_assertion(token, **options)

    def is_refused(self, sentence: str, token: str) -> bool:
        return self.world.is_no_client(sentence, self.present(token))


class Own:
    """As the bearer of each request: what Entra does when the field Secret Token
    was left blank."""

    name = "Entra's own token"

    def __init__(self, world: World, tenant: Tenant, issuer: Issuer) -> None:
        self.world, self.tenant, self.issuer = world, tenant, issuer
        self.subject = str(uuid.uuid4())
        claims = self.claims()
        self.credential = tenant.federate(issuer.v1, self.subject, claims["aud"])

    def claims(self) -> dict:
        return self.issuer.own_token(self.subject)

    def scim(self, token: str | None = None) -> Scim:
        token = token or self.issuer.sign(self.claims())
        self.world.muster.keep_secret(token)
        return Scim(self.credential["tenant_url"], token)

    def present(self, token: str, **options) -> Reply:
        return self.scim(token).test_connection(**options)

    def is_refused(self, sentence: str, token: str) -> bool:
        return self.world.is_refused(sentence, self.scim(token))
