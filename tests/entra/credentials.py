"""Plays Entra's three credential modes against the program, as it is shipped:

(a) a long-lived bearer, (b) OAuth 2.0 client credentials, (c) workload identity,
the latter as an assertion at the token endpoint and as Entra's own token on
every request. An issuer on this machine signs real tokens in Microsoft's place.

    .ci/entra                           installs what it needs, and plays all
    python credentials.py [WORD...]     plays the scenarios whose name has a word

MUSTER_BIN names the program; target/release/muster of this workspace. By hand
it needs Python 3.11 or newer with what .ci/entra-requirements.txt lists. It
prints a line for each check, and ends with 1 if one failed. It takes a minute
and a half, most of it waiting: the use of a credential is noted once a minute.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

# Not before: what is imported here is not to leave files beside the sources.
import bearer
import federation
import oauth
import outages
from checks import Checks, play
from muster import Muster
from world import World

SCENARIOS = bearer.SCENARIOS + oauth.SCENARIOS + federation.SCENARIOS + outages.SCENARIOS


def main() -> int:
    program = Path(os.environ.get("MUSTER_BIN") or release()).resolve()
    if not program.is_file():
        print(f"!! no program at {program}", file=sys.stderr)
        return 2
    words = sys.argv[1:]
    chosen = [one for one in SCENARIOS if not words or any(word in one.__doc__ for word in words)]
    checks = Checks()
    # Whoever ends this ends the server with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        muster = Muster(str(program), Path(folder))
        muster.start()
        try:
            play(chosen, World(muster, checks), checks)
            checks.scenario = "secrets"
            are_kept(muster, checks)
        finally:
            ended = muster.stop()
        checks.scenario = "server"
        checks.equal("it ends well", ended, 0)
        log = muster.log.read_text(errors="replace")
        bad = [line for line in log.splitlines() if "panicked" in line or " ERROR " in line]
        checks.that("its log has no errors", not bad, bad[:3])
    checks.summary()
    return 1 if checks.failures or not checks.passed else 0


def release() -> Path:
    """The workspace's own release."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("CARGO_TARGET_DIR") or root / "target") / "release" / "muster"


def are_kept(muster: Muster, checks: Checks) -> None:
    """The checks that no secret of this run is read where it must not be. The
    log is that of `debug`."""
    checks.that("there were some", muster.secrets)
    exported = muster.run("export", "--output", "-")
    files = muster.folder.glob("muster.db*")
    for place, text in {
        "the log": muster.log.read_bytes(),
        "an export": exported.stdout.encode(),
        "the database": b"".join(file.read_bytes() for file in files),
    }.items():
        told = [secret[:12] for secret in muster.secrets if secret.encode() in text]
        checks.that(f"{place} tells none", text and not told, told)


if __name__ == "__main__":
    sys.exit(main())
