# SPDX-License-Identifier: Apache-2.0
"""Everything that is taken from a process before it may meet a program, in the order in which it can be taken.

Once per solution, in the solution process (`restrict`), from which every child inherits it; and the little that only a
child may lose, once per test (`restrict_child`).
"""

from __future__ import annotations

import _signal
import os
import resource

from klear_verl.judge.sandbox.zygote import linux

_STACK_BYTES = 64 << 20
_PROCESSES, _PROCESSES_OF_ALL = 512, 4096
_BOUNDED = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)
_FORBIDDEN = (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE)


class SeccompFilters:
    """Compiled system-call filters (`sandbox/seccomp.py`): either `notifying` alone, which asks the supervisor about
    every new process; or `forking`, which allows them, with `child` in each child, which denies them.
    """

    def __init__(self, notifying: bytes, forking: bytes, child: bytes):
        self.notifying, self.forking, self.child = map(linux.SeccompFilter, (notifying, forking, child))


class Lockdown:
    """What the zygote prepared.

    Args:
        rules: None where there is no Landlock.
        filters: None where there is no seccomp.
        notifies: the kernel has seccomp notification.
        uids: the users that solutions run as, one after the other, so that no two at a time have the same (none: as the
            judge).
        own_pids: the solution process is process 1 of its own namespace.
    """

    def __init__(
        self,
        rules: linux.LandlockRules | None,
        filters: SeccompFilters | None,
        notifies: bool,
        uids: range,
        own_pids: bool,
    ):
        self._rules = rules
        self._filters = filters
        self._notifies = notifies
        self._uids = uids
        self._solutions = 0
        self._own_pids = own_pids
        self.children_may_fork = filters is None
        self._hard = {what: resource.getrlimit(what)[1] for what in (*_BOUNDED, resource.RLIMIT_CPU)}

    def restrict(self, limits: list[int], cpu_s: int) -> int:
        """Binds the solution process and all its children.

        Args:
            limits: bytes of address space; bytes of a file, which is what bounds standard output and error (files in
                memory; everything else that could grow is out of reach); open files.
            cpu_s: whole seconds of CPU that each process may use. The supervisor enforces the real limits, to the
                millisecond; this is the net below it.

        Returns:
            The descriptor for the filter's notifications; -1 if it has none.
        """
        os.setsid()
        # Process 1 of a namespace is immune to every signal that it has no handler for.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        if not self._own_pids:
            linux.become_subreaper()
        for what, value in zip(_BOUNDED, limits, strict=True):
            value = self._at_most(what, value)
            resource.setrlimit(what, (value, value))
        cpu_s = self._at_most(resource.RLIMIT_CPU, cpu_s)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        for what in _FORBIDDEN:
            resource.setrlimit(what, (0, 0))
        if self._own_pids or self._uids:
            # Counted per user and user namespace. Elsewhere it would count the trainer's threads too; there, the
            # supervisor does the counting.
            processes = _PROCESSES if self._uids else _PROCESSES_OF_ALL
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        if self._uids:
            uid = self._uids[self._solutions % len(self._uids)]
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        linux.drop_capabilities()
        # No child may look into this process, or into the tester, which holds the test.
        linux.set_dumpable(False)
        if not self._own_pids:
            # A change of user clears it, so not earlier.
            linux.die_with_parent(_signal.SIGKILL)
        if self._rules:
            self._rules.restrict()
        if self._filters is None:
            return -1
        if self._notifies:
            return self._filters.notifying.install_with_listener()
        self._filters.forking.install()
        return -1

    def next_solution(self) -> None:
        """In the zygote, before each fork."""
        self._solutions += 1

    def restrict_child(self, shows_itself: bool) -> None:
        """Binds a child of the solution process. Called for every test, so it does only what it must.

        Args:
            shows_itself: it needs its own /proc/self/fd, where /dev/stdin leads.
        """
        if not self._own_pids:
            linux.die_with_parent(_signal.SIGKILL)
        if shows_itself:
            linux.set_dumpable(True)
        if self._filters is not None and not self._notifies:
            self._filters.child.install()

    def _at_most(self, what: int, value: int) -> int:
        hard = self._hard[what]
        return value if hard == resource.RLIM_INFINITY else min(value, hard)


def prefer_for_oom_kill() -> None:
    """In the zygote, for all: where memory runs out, the kernel kills programs before trainers, the largest first."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def raise_stack_limit() -> None:
    """In the zygote, for all: deep recursion is an ordinary way to solve a problem."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(_STACK_BYTES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def kernel_notifies(notifying: linux.SeccompFilter) -> bool:
    """Whether a filter can have a listener here: tried in a child."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            notifying.install_with_listener()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0
