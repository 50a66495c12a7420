"""Microsoft's token services on this machine: login.microsoftonline.com, whose
tokens are of version 2, and sts.windows.net, whose tokens are of version 1."""

import base64
import hashlib
import json
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

# The application that all custom applications' own tokens are meant for.
CUSTOM_APPS = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"


def encode(data: bytes) -> str:
    """Base64url without padding, as JOSE has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A signing key with its certificate; the thumbprint is its id, as with Microsoft."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.certificate = _certificate(self.private).public_bytes(Encoding.DER)
        self.id = encode(hashlib.sha1(self.certificate).digest())

    def jwk(self, issuer: str) -> dict:
        """As Microsoft publishes it: with certificate and issuer, without `alg`."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.id,
            "x5t": self.id,
            "n": encode(numbers.n.to_bytes(256, "big")),
            "e": encode(numbers.e.to_bytes(3, "big")),
            "x5c": [base64.b64encode(self.certificate).decode()],
            "cloud_instance_name": "microsoftonline.com",
            "issuer": issuer,
        }

    def public(self, encoding: Encoding) -> bytes:
        """The public key, in a form that somebody might take for a shared secret."""
        return self.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=1825))
    return builder.sign(key, hashes.SHA256())


class Issuer:
    """One Entra tenant with its token services.

    `delay_s` makes it slow, `status` makes it fail, `poses_as` makes its
    configuration name another issuer; `fetches` counts how often its keys were
    asked for, `requests` all that came.
    """

    def __init__(self) -> None:
        self.tid = str(uuid.uuid4())
        self.keys = [Key(), Key()]
        self.delay_s, self.status, self.poses_as = 0.0, 200, None
        self.fetches = self.requests = 0
        self._lock = threading.Lock()
        self._server = None
        self.port = 0
        self.speak()

    def speak(self) -> None:
        """Answers from now on, at the same place as before."""
        handler = type("Handler", (_Handler,), {"issuer": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def silence(self) -> None:
        """Refuses connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def v1(self) -> str:
        """`iss` of version 1, with its slash at the end."""
        return f"{self.base}/sts/{self.tid}/"

    @property
    def v2(self) -> str:
        """`iss` of version 2."""
        return f"{self.base}/{self.tid}/v2.0"

    def rotate(self) -> None:
        """Signs with a new key, and publishes the former ones no longer."""
        self.keys = [Key(), Key()]

    def answer(self, path: str) -> tuple[int, dict]:
        """What stands at this path."""
        with self._lock:
            self.requests += 1
            self.fetches += path.endswith("/discovery/v2.0/keys") or path.endswith("/discovery/keys")
        time.sleep(self.delay_s)
        if self.status != 200:
            return self.status, {"error": "temporarily_unavailable"}
        versions = {
            f"/{self.tid}/v2.0": (self.v2, f"{self.base}/{self.tid}/discovery/v2.0/keys"),
            f"/sts/{self.tid}": (self.v1, f"{self.base}/common/discovery/keys"),
        }
        for home, (name, keys) in versions.items():
            if path == f"{home}/.well-known/openid-configuration":
                return 200, self._configuration(self.poses_as or name, keys)
            if f"{self.base}{path}" == keys:
                return 200, {"keys": self._published(name)}
        return 404, {"error": "not_found"}

    def _configuration(self, name: str, keys: str) -> dict:
        return {
            "issuer": name,
            "jwks_uri": keys,
            "token_endpoint": f"{self.base}/{self.tid}/oauth2/v2.0/token",
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["pairwise"],
            "response_types_supported": ["code", "id_token"],
        }

    def _published(self, name: str) -> list[dict]:
        # A kind of key that nobody knows yet must disturb nobody.
        novel = {"kty": "AKP", "alg": "ML-DSA-44", "kid": "novel", "pub": "AAAA", "use": "sig"}
        return [novel, *(key.jwk(name) for key in self.keys)]

    def assertion(self, subject: str, audience: str) -> dict:
        """Claims of version 2: what Entra asserts at a token endpoint. No `jti`."""
        now = int(time.time())
        return {
            "aud": audience,
            "iss": self.v2,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "azp": "01ad7c2b-5a02-4f1a-9a5e-04f3a2c9c3a0",
            "azpacr": "2",
            "oid": subject,
            "sub": subject,
            "tid": self.tid,
            "ver": "2.0",
        }

    def own_token(self, subject: str, audience: str = CUSTOM_APPS) -> dict:
        """Claims of version 1: what Entra sends as the bearer itself when no
        Secret Token was entered."""
        now = int(time.time())
        return {
            "aud": audience,
            "iss": self.v1,
            "iat": now,
            "nbf": now,
            "exp": now + 3900,
            "aio": "E2ZgYBD9pzBzYqe4YXZ0",
            "appid": "00000014-0000-0000-c000-000000000000",
            "appidacr": "2",
            "idp": self.v1,
            "oid": subject,
            "sub": subject,
            "tid": self.tid,
            "uti": "TqzW0oKfz0uQ7mVbTnE0AA",
            "ver": "1.0",
        }

    def sign(self, claims: dict, key: Key | None = None) -> str:
        """A token, signed as Microsoft signs."""
        key = key or self.keys[0]
        headers = {"x5t": key.id, "kid": key.id}
        return jwt.encode(claims, key.private, algorithm="RS256", headers=headers)


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer

    def do_GET(self) -> None:
        status, body = self.issuer.answer(self.path)
        content = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            # Who asked did not wait.
            pass

    def log_message(self, *_: object) -> None:
        pass
