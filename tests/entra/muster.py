"""The program under test: its server and its admin commands."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from checks import BrokeOff
from client import Scim, TokenEndpoint


class Muster:
    """A server on a database of its own, on ports that the system chooses."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.database = f"sqlite://{folder}/muster.db"
        self.log = folder / "server.log"
        # Whatever must never be read anywhere but where it was handed out.
        self.secrets: set[str] = set()
        # Nothing of the caller's own configuration shall reach the server.
        kept = {n: v for n, v in os.environ.items() if not n.startswith("MUSTER_")}
        self.environment = {**kept, "NO_PROXY": "127.0.0.1", "RUST_LOG": "debug"}
        self.process = None
        self.url = ""

    def start(self) -> None:
        """Starts the server and waits until it says where it listens."""
        out = self.folder / "server.out"
        command = [self.program, "serve", "--database-url", self.database]
        command += ["--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"]
        with out.open("wb") as stdout, self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=stdout, stderr=stderr
            )
        for _ in range(600):
            found = re.search(r"^HTTP listening on (http://\S+)$", out.read_text(), re.MULTILINE)
            if found:
                self.url = found[1]
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"!! the server did not start: {self.log.read_text()[-2000:]}")

    def stop(self) -> int:
        """Stops the server; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs an admin command, however it ends."""
        command = [self.program, *arguments, "--database-url", self.database]
        quiet = {**self.environment, "RUST_LOG": "warn"}
        return subprocess.run(
            command, cwd=self.folder, env=quiet, capture_output=True, text=True, timeout=60, check=False
        )

    def admin(self, *arguments: str) -> dict | list:
        """The result of an admin command."""
        done = self.run(*arguments, "--json")
        if done.returncode != 0:
            complaint = " ".join(done.stderr.split())[:200]
            raise BrokeOff(f"`muster {' '.join(arguments[:2])}` ended with {done.returncode}: {complaint}")
        return json.loads(done.stdout)

    def keep_secret(self, text: str) -> str:
        """Has a look-out kept for a secret, or for a token's signature."""
        secret = text.rpartition(".")[2]
        if len(secret) > 40:
            self.secrets.add(secret)
        return text

    def new_tenant(self, name: str) -> "Tenant":
        """A tenant with the connection `entra`."""
        self.admin("tenant", "create", "--name", name)
        tenant = Tenant(self, name)
        tenant.connect("entra")
        return tenant


class Tenant:
    """A tenant of the server; a credential is what its command printed."""

    def __init__(self, muster: Muster, name: str) -> None:
        self.muster, self.name = muster, name
        self.connections: dict[str, dict] = {}

    def connect(self, name: str) -> None:
        """Creates a connection."""
        self.connections[name] = self._admin("connection", "create", "--name", name)

    def url_of(self, connection: str = "entra") -> str:
        """The Tenant URL that names the connection."""
        return self.connections[connection]["tenant_url"]

    def create(self, *options: str, connection: str = "entra") -> dict:
        """Creates a credential."""
        made = self._admin("credential", "create", "--connection", connection, *options)
        return self._keep(made)

    def federate(self, issuer: str, subject: str, audience: str, connection: str = "entra") -> dict:
        """Creates a credential for which an issuer vouches."""
        claims = ["--issuer", issuer, "--subject", subject, "--audience", audience]
        return self.create("--kind", "federated", *claims, connection=connection)

    def rotate(self, credential: dict, overlap: str) -> dict:
        """Gives the credential a new secret."""
        return self._keep(
            self._admin("credential", "rotate", "--id", credential["id"], "--overlap", overlap)
        )

    def revoke(self, credential: dict) -> None:
        """Ends the credential."""
        self._admin("credential", "revoke", "--id", credential["id"])

    def listed(self, credential: dict, connection: str = "entra") -> dict:
        """The credential as it is listed."""
        rows = self._admin("credential", "list", "--connection", connection)
        return next(row for row in rows if row["id"] == credential["id"])

    def last_use(self, credential: dict) -> tuple[str | None, str | None]:
        """Time and address of the credential's last use, as they are listed."""
        row = self.listed(credential)
        if not {"last_used_at", "last_used_address"} <= row.keys():
            raise BrokeOff(f"no last use is listed: {sorted(row)}")
        return row["last_used_at"], row["last_used_address"]

    def scim(self, credential: dict, address: str | None = None) -> Scim:
        """Entra with the Tenant URL and the Secret Token that the command printed."""
        return Scim(credential["tenant_url"], credential["secret"], address)

    def token_endpoint(self, credential: dict) -> TokenEndpoint:
        """The token endpoint that the command printed."""
        return TokenEndpoint(credential["token_endpoint"], credential["client_id"])

    def _admin(self, *arguments: str):
        return self.muster.admin(*arguments, "--tenant", self.name)

    def _keep(self, credential: dict) -> dict:
        if credential.get("secret"):
            self.muster.keep_secret(credential["secret"])
        return credential
