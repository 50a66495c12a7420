"""Runs a SCIM suite that others wrote, and says whether the server passed.

    judges.py scim2-tester|scim-sanity FLAVOR URL

The token is read from JUDGES_TOKEN. Every check must pass, one that was
skipped or that only deviates from a SHOULD included, unless it is in
judges-excused.toml.
"""

import json
import os
import random
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """What a suite says about one check."""

    check: str
    status: str
    passed: bool
    message: str


def scim2_tester(url: str, token: str) -> list[Finding]:
    """Runs scim2-tester with the client its authors wrote, as they configure it."""
    from httpx2 import Client
    from scim2_client.engines.httpx2 import SyncSCIMClient
    from scim2_tester import Status, check_server

    passing = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}
    random.seed(0)
    with Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as http:
        results = check_server(SyncSCIMClient(http))
    findings = []
    for result in results:
        words = [result.resource_type, result.title]
        if isinstance(result.data, dict):
            words.append(result.data.get("urn"))
        check = " ".join(word for word in words if word)
        findings.append(
            Finding(check, result.status.name, result.status in passing, result.reason or "")
        )
    return findings


def scim_sanity(url: str, token: str) -> list[Finding]:
    """Runs the probe of scim-sanity in its strict mode, which is its default."""
    command = [str(Path(sys.executable).with_name("scim-sanity")), "probe", url]
    command += ["--token", token, "--i-accept-side-effects", "--strict", "--json-output"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    report = json.loads(done.stdout)
    findings = [
        Finding(result["name"], result["status"], result["status"] == "pass", result.get("message", ""))
        for result in report["results"]
    ]
    broken = any(finding.status in ("fail", "error") for finding in findings)
    if broken != (done.returncode != 0):
        sys.exit(f"scim-sanity ended with {done.returncode}, which is not what it reports")
    print("scim-sanity, its summary:", ", ".join(f"{n} {word}" for word, n in report["summary"].items()))
    return findings


SUITES = {"scim2-tester": scim2_tester, "scim-sanity": scim_sanity}


def excuses(suite: str, flavor: str) -> set[str]:
    """The checks of this suite that need not pass on this flavor."""
    text = Path(__file__).with_name("judges-excused.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["excused"]
    if not all(entry["reason"].strip() for entry in entries):
        sys.exit("judges-excused.toml: an entry without a reason")
    return {e["check"] for e in entries if e["suite"] == suite and flavor in e["flavors"]}


def verdict(suite: str, flavor: str, findings: list[Finding]) -> bool:
    """Prints what did not pass and the counts; true if nothing is left unexcused."""
    excused = excuses(suite, flavor)
    failed = [f for f in findings if not f.passed and f.check not in excused]
    waived = [f for f in findings if not f.passed and f.check in excused]
    idle = excused - {finding.check for finding in waived}
    for word, group in (("FAILED", failed), ("excused", waived)):
        for finding in group:
            print(f"{word}: {finding.check}: {finding.status}: {finding.message}")
    for check in sorted(idle):
        print(f"FAILED: {check}: it is excused, but has nothing to be excused for")
    passed = len(findings) - len(failed) - len(waived)
    print(
        f"{suite}/{flavor}: {passed} passed, {len(failed)} failed, {len(waived)} excused"
        f" ({suite} {version(suite)})"
    )
    return passed > 0 and not failed and not idle


def main() -> None:
    suite, flavor, url = sys.argv[1:]
    findings = SUITES[suite](url, os.environ["JUDGES_TOKEN"])
    sys.exit(0 if verdict(suite, flavor, findings) else 1)


if __name__ == "__main__":
    main()
