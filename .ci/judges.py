"""Runs a suite that others wrote, and says whether the server passed.

    judges.py scim2-tester|scim-sanity|schemathesis FLAVOR URL

The token is read from JUDGES_TOKEN; schemathesis takes that of a user from
JUDGES_USER_TOKEN, too. Every check must pass, one that was skipped, left out
or that only deviates from a SHOULD included, unless it is in
judges-excused.toml.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections import Counter
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


@dataclass(frozen=True)
class Excuse:
    """A check that need not pass, as long as this is what it says."""

    check: str
    says: str

    def covers(self, finding: Finding) -> bool:
        return finding.check == self.check and self.says in finding.message


def main() -> None:
    suite, flavor, url = sys.argv[1:]
    excused = excuses(suite, flavor)
    if suite == "scim2-tester":
        findings = scim2_tester(url)
    elif suite == "scim-sanity":
        findings = scim_sanity(url)
    elif suite == "schemathesis":
        findings = schemathesis(url, [excuse.check for excuse in excused])
    else:
        sys.exit(f"no suite {suite}")
    sys.exit(0 if verdict(suite, flavor, findings, excused) else 1)


def scim2_tester(url: str) -> list[Finding]:
    """Runs scim2-tester with the client its authors wrote, as they configure it."""
    from httpx2 import Client
    from scim2_client.engines.httpx2 import SyncSCIMClient
    from scim2_tester import Status, check_server

    passing = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}
    random.seed(0)
    with Client(base_url=url, headers={"Authorization": f"Bearer {token()}"}) as http:
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


def scim_sanity(url: str) -> list[Finding]:
    """Runs the probe of scim-sanity in its strict mode, which is its default."""
    command = [program("scim-sanity"), "probe", url]
    command += ["--token", token(), "--i-accept-side-effects", "--strict", "--json-output"]
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


def schemathesis(url: str, left_out: list[str]) -> list[Finding]:
    """Sends requests that follow the description and requests that do not, made
    up from a fixed seed, and sequences of requests on what others of them
    created. A connection meets everything but `/Me`. A user meets that, in short,
    since he is a user like others; the last thing he does is to delete himself."""
    me = ["--include-path", "/Me", "--phases", "examples,fuzzing"]
    all_phases = ["--phases", "examples,coverage,fuzzing,stateful"]
    runs = [
        ("of a connection", token(), all_phases),
        ("of a user", token("JUDGES_USER_TOKEN"), [*me, "--exclude-method", "DELETE"]),
        ("of a user who goes", token("JUDGES_USER_TOKEN"), [*me, "--include-method", "DELETE"]),
    ]
    findings = [
        Finding(check, "LEFT OUT", False, "it was not asked for") for check in left_out
    ]
    described, requests, successes = set(), Counter(), Counter()
    for name, bearer, options in runs:
        # First, because a user who is gone is shown no `/Me`.
        operations = described_successes(url, bearer)
        described |= operations
        done, exchanges = fuzz(url, bearer, left_out, options)
        message = f"schemathesis ended with {done}" if done else ""
        findings.append(Finding(f"the requests {name}", str(done), done == 0, message))
        for method, path, answer in exchanges:
            operation = operation_of(operations, method, path)
            requests[operation] += 1
            successes[operation] += succeeded(operation, answer)
    # A fuzzer that is turned away everywhere finds nothing.
    for operation in sorted(described):
        method, path = operation
        count = f"{successes[operation]} of {requests[operation]} requests succeeded"
        print(f"{method} {path}: {count}")
        findings.append(
            Finding(f"{method} {path} succeeds", "counted", successes[operation] > 0, count)
        )
    return findings


def fuzz(url: str, bearer: str, left_out: list[str], options: list[str]) -> tuple[int, list]:
    """Runs schemathesis; how it ended, and each request's method and path with
    the answer."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.har")
        command = [program("schemathesis"), "run", f"{url}/openapi.json", "--url", url]
        command += ["--header", f"Authorization: Bearer {bearer}", *options]
        command += ["--checks", "all", "--continue-on-failure"]
        if left_out:
            command += ["--exclude-checks", ",".join(left_out)]
        command += ["--max-examples", os.environ["JUDGES_EXAMPLES"], "--seed", "20150901"]
        command += ["--generation-database", "none", "--suppress-health-check", "all"]
        command += ["--workers", "1", "--request-timeout", "30", "--no-color"]
        command += ["--report", "har", "--report-har-path", str(report)]
        done = subprocess.run(command, check=False)
        entries = json.loads(report.read_text(encoding="utf-8"))["log"]["entries"]
    exchanges = []
    for entry in entries:
        path = entry["request"]["url"].partition("?")[0].removeprefix(url)
        exchanges.append((entry["request"]["method"], path or "/", entry["response"]))
    return done.returncode, exchanges


def described_successes(url: str, bearer: str) -> set[tuple[str, str]]:
    """Method and path of every operation that wants a token and can succeed."""
    request = urllib.request.Request(f"{url}/openapi.json")
    request.add_header("Authorization", f"Bearer {bearer}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        description = json.load(answer)
    return {
        (method.upper(), path)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
        and operation.get("security") != []
        and any(status[0] == "2" for status in operation["responses"])
    }


def operation_of(operations: set, method: str, path: str) -> tuple[str, str] | None:
    """The operation that a request was for; one with an id gives way to others."""
    if (method, path) in operations:
        return (method, path)
    for operation in operations:
        pattern = re.escape(operation[1]).replace(re.escape("{id}"), "[^/]+")
        if operation[0] == method and re.fullmatch(pattern, path):
            return operation
    return None


def succeeded(operation: tuple[str, str] | None, answer: dict) -> bool:
    """Whether the server did it. A bulk says so for each of its operations."""
    if not 200 <= answer["status"] < 300:
        return False
    if operation != ("POST", "/Bulk"):
        return True
    done = json.loads(answer["content"]["text"])["Operations"]
    return any(each["status"].startswith("2") for each in done)


def excuses(suite: str, flavor: str) -> list[Excuse]:
    """What this suite need not find on this flavor."""
    text = Path(__file__).with_name("judges-excused.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["excused"]
    for entry in entries:
        if not all(entry[key].strip() for key in ("check", "says", "reason")):
            sys.exit("judges-excused.toml: an entry that does not say what is excused, or why")
    return [
        Excuse(entry["check"], entry["says"])
        for entry in entries
        if entry["suite"] == suite and flavor in entry["flavors"]
    ]


def verdict(suite: str, flavor: str, findings: list[Finding], excused: list[Excuse]) -> bool:
    """Prints what did not pass and the counts; true if nothing is left unexcused.
    An excuse is good for one finding."""
    idle = list(excused)
    failed, waived = [], []
    for finding in findings:
        if finding.passed:
            continue
        excuse = next((excuse for excuse in idle if excuse.covers(finding)), None)
        if excuse is None:
            failed.append(finding)
        else:
            idle.remove(excuse)
            waived.append(finding)
    for word, group in (("FAILED", failed), ("excused", waived)):
        for finding in group:
            print(f"{word}: {finding.check}: {finding.status}: {finding.message}")
    for excuse in idle:
        print(f"FAILED: {excuse.check}: it is excused, but never says {excuse.says!r}")
    passed = len(findings) - len(failed) - len(waived)
    print(
        f"{suite}/{flavor}: {passed} passed, {len(failed)} failed, {len(waived)} excused"
        f" ({suite} {version(suite)})"
    )
    return passed > 0 and not failed and not idle


def program(name: str) -> str:
    """A program that was installed next to this Python."""
    return str(Path(sys.executable).with_name(name))


def token(name: str = "JUDGES_TOKEN") -> str:
    return os.environ[name]


if __name__ == "__main__":
    main()
