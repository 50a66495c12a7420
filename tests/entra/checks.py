"""Counts what was checked, and says it: one line for each check."""

import contextlib
import inspect
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


class BrokeOff(Exception):
    """A scenario cannot go on: what it needs next is not there."""


@dataclass
class Checks:
    """What passed and what failed so far."""

    scenario: str = ""
    passed: int = 0
    failures: list[str] = field(default_factory=list)

    def that(self, sentence: str, holds: object, found: object = ...) -> bool:
        """One check; what was found is shown when it does not hold."""
        line = f"{self.scenario}: {sentence}"
        if holds:
            self.passed += 1
            print(f"ok     {line}")
            return True
        if found is not ...:
            line += f": found {' '.join(str(found).split())[:300]}"
        self.failures.append(line)
        print(f"FAILED {line}")
        return False

    def equal(self, sentence: str, found: object, expected: object) -> bool:
        """The check that this was found."""
        return self.that(sentence, found == expected, f"{found!r}, not {expected!r}")

    def summary(self) -> None:
        """The closing lines."""
        if self.failures:
            print("\nNot passed:")
        for line in self.failures:
            print(f"  {line}")
        print(f"\n{self.passed} checks passed, {len(self.failures)} failed")


def play(scenarios: list[Callable], world, checks: Checks) -> None:
    """Plays the scenarios. One that must let time pass yields the moment at
    which it wants to go on; the others are played meanwhile. One that breaks off
    counts as one failure and ends no other."""
    waiting = []
    # Those that wait begin first.
    for scenario in sorted(scenarios, key=lambda one: not inspect.isgeneratorfunction(one)):
        checks.scenario = (scenario.__doc__ or scenario.__name__).strip()
        with _caught(checks):
            begun = scenario(world)
            if inspect.isgenerator(begun):
                waiting.append((next(begun), checks.scenario, begun))
    for moment, name, begun in sorted(waiting, key=lambda one: one[:2]):
        checks.scenario = name
        time.sleep(max(0.0, moment - time.monotonic()))
        with _caught(checks):
            for _ in begun:
                raise BrokeOff("it waits twice")


@contextlib.contextmanager
def _caught(checks: Checks) -> Iterator[None]:
    """Makes a failure of what breaks off."""
    try:
        yield
    except BrokeOff as error:
        checks.that("it goes through to its end", False, error)
    except Exception as error:
        traceback.print_exc()
        checks.that("it goes through to its end", False, repr(error))
