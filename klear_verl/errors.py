# SPDX-License-Identifier: Apache-2.0
"""The base of every error that klear_verl raises on purpose: what is wrong, and the remedy."""


class KlearError(Exception):
    """A problem a user can fix. `what` names the file, row, key or option; `remedy` says what to do about it."""

    def __init__(self, what: str, remedy: str = ""):
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}\n  remedy: {remedy}" if remedy else what)

    def __reduce__(self):
        # Ray and process pools pickle exceptions; the default would re-call __init__ with the joined message.
        return (type(self), (self.what, self.remedy))


class ConfigError(KlearError):
    """An unknown, missing or ill-typed configuration key."""


class DataError(KlearError):
    """A data file or a row of one that cannot be used."""


class EnvironmentProblem(KlearError):
    """Something about this machine: memory, shared memory, ports, versions, a missing package."""
