"""The supervisor: the one process between a run and its children.

It starts every child as the leader of a process group of its own, reads what they print, times them out,
tries them again, and hands each one's end over to the parent, through one socket (the channel). It lives for
one run.

What holds: when the channel closes or the parent's process ends, whatever the reason, every child is stopped.
At its own end it ends all that still carries the run's mark in its environment. Should it die itself, the
parent does that (end_marked).

It imports little: of gilfree its neighbours only, without the packages around them; and runs under `python -I
-S`: it has to be there within milliseconds. Where it calls time.time, a user wants to know when; durations
and deadlines are of time.monotonic.
"""

from __future__ import annotations

import errno
import heapq
import marshal
import os
import select
import signal
import time

from gilfree.scripts.processes import CHILD_VARIABLE, end_marked, peak_memory, signal_group
from gilfree.scripts.streams import LineStream, Spill, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Between TERM and KILL.
GRACE_SECONDS = 2.0
# A process that a child left behind may hold the child's pipes open: so long they are read on after its end.
LINGER_SECONDS = 1.0
# Memory is sampled this often, at least; more rarely if looking costs more than a twentieth of the time.
SAMPLE_SECONDS = 0.05
SAMPLE_SHARE = 20
# While more bytes than this wait for the parent, no child is started, and no line is read.
BACKLOG_CAP = 1024 * 1024

READ_BYTES = 1024 * 1024

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell says it


def pack(message: Any) -> bytes:
    """A message as it goes through the channel. Both ends are the same interpreter."""
    body = marshal.dumps(message)
    return len(body).to_bytes(8, "little") + body


class Job:
    """A command and what became of it. `pid` is None but while the child runs, or is a zombie."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.attempts = 0
        self.prepare()

    def prepare(self) -> None:
        """For the next attempt."""
        self.pid: int | None = None
        self.began = self.started = self.duration = self.cpu = 0.0
        self.peak: int | None = None
        self.returncode: int | None = None
        self.timed_out = self.stopped = False
        self.streams: list[Stream] = []


class Supervisor:
    def __init__(self, channel: int, spill: int, parent: int) -> None:
        self.channel = channel
        self.spill = Spill(spill)
        self.outgoing = bytearray()
        self.jobs: dict[int, Job] = {}  # that were started and are not finished, by index
        self.children: dict[int, Job] = {}  # that were not waited for, by pid
        self.timers: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.timer_count = 0
        self.counts = {"fail": 0, "success": 0, "done": 0}
        self.halted = False  # no child is started any more
        self.stopping = False  # and those that run are stopped
        self.signalled = 0  # by which signal it was told to
        self.parent_is_gone = False
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[int, int], None]] = {}
        self.paused = False  # no lines are read
        self.samples = os.path.exists("/proc/self/status")
        self.watch_parent(parent)
        self.wakeup = self.watch_signals()

    # ---- what it is told -------------------------------------------------------------------------

    def watch_parent(self, parent: int) -> None:
        self.watch(self.channel, self.on_parent)
        # A copy of the parent's end of the channel, in a process forked from it, would keep the channel open.
        if hasattr(os, "pidfd_open"):
            try:
                self.watch(os.pidfd_open(parent), self.on_parent)
            except OSError:  # it ended already, or the kernel is older than 5.3, or forbids it
                self.parent_is_gone = os.getppid() != parent

    def watch_signals(self) -> int:
        wakeup, write = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        # Handlers, as what is ignored would be ignored by the children too.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.watch(wakeup, self.on_signal)
        return wakeup

    def watch(self, fd: int, handler: Callable[[int, int], None]) -> None:
        self.handlers[fd] = handler
        self.poll.register(fd, select.POLLIN)

    def on_parent(self, fd: int, events: int) -> None:
        """The parent says nothing once the plan is here: this is its wish to stop, or its end."""
        if events & ~select.POLLOUT:
            self.poll.unregister(fd)
            del self.handlers[fd]
            self.lose_parent()

    def lose_parent(self) -> None:
        self.parent_is_gone = True
        self.outgoing.clear()
        self.stop()

    def on_signal(self, fd: int, events: int) -> None:
        others = os.read(fd, 4096).replace(bytes([signal.SIGCHLD]), b"")
        if others:
            self.signalled = others[0]
            self.stop()

    def read_plan(self) -> dict[str, Any] | None:
        """What to run; None if the parent is gone before it said so."""

        def read(size: int) -> bytes | None:
            data = bytearray()
            while len(data) < size:
                piece = os.read(self.channel, min(size - len(data), READ_BYTES))
                if not piece:
                    return None
                data += piece
            return bytes(data)

        size = read(8)
        body = size and read(int.from_bytes(size, "little"))
        plan: dict[str, Any] | None = marshal.loads(body) if body else None
        return plan

    # ---- the run ---------------------------------------------------------------------------------

    def run(self) -> None:
        plan = self.read_plan()
        if plan is None or self.parent_is_gone:
            return
        self.plan = plan
        self.workers: int = plan["workers"]
        self.queue = [Job(index) for index in reversed(plan["todo"])]  # the next one last
        os.set_blocking(self.channel, False)
        os.chdir(plan["folder"])
        try:
            self.work()
            self.say(("end", self.signalled))
            while self.outgoing:
                self.turn()
        finally:
            for pid in self.children:  # after an error
                signal_group(pid, signal.SIGKILL)
            end_marked(plan["mark"], GRACE_SECONDS)

    def work(self) -> None:
        if self.samples:
            self.at(SAMPLE_SECONDS / 4, self.sample)
        while True:
            self.launch()
            if not self.jobs and (not self.queue or self.halted):
                return
            self.turn()

    def turn(self) -> None:
        """Wait for something to happen, and see to it."""
        self.pause(len(self.outgoing) > BACKLOG_CAP)
        for fd, events in self.poll.poll(self.milliseconds()):
            handler = self.handlers.get(fd)
            if handler:
                handler(fd, events)
        self.reap()
        self.run_timers()
        self.send()

    def launch(self) -> None:
        while self.queue and len(self.jobs) < self.workers and not self.halted:
            if len(self.outgoing) > BACKLOG_CAP:
                return
            job = self.queue.pop()
            try:
                self.start(job)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self.jobs:
                    raise
                # As many as there are descriptors for.
                self.queue.append(job)
                self.workers = len(self.jobs)

    def start(self, job: Job) -> None:
        """Start the child. OSError: not for want of the program, which is the child's own result."""
        job.prepare()
        ends = self.outputs(job)
        program, arguments = self.plan["commands"][job.index]
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(ends, 1)]
        job.attempts += 1
        self.jobs[job.index] = job
        job.started, job.began = time.time(), time.monotonic()
        try:
            job.pid = os.posix_spawn(
                program,
                arguments,
                self.environment(job),
                file_actions=actions,
                setpgroup=0,
                # Python ignores these two, and what is ignored stays so in a child.
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        except OSError as error:
            missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
            job.returncode = NOT_FOUND if missing else NOT_EXECUTABLE
            reason = f"gilfree: cannot run {os.fsdecode(program)!r}: {error.strerror}\n"
            os.write(ends[1] if ends else 2, os.fsencode(reason))
        else:
            self.children[job.pid] = job
            if self.plan["timeout"] is not None:
                self.at(self.plan["timeout"], self.time_out, job, job.attempts)
        finally:
            for fd in ends:
                os.close(fd)
        self.finish_if_done(job)

    def environment(self, job: Job) -> dict[bytes, bytes]:
        environment: dict[bytes, bytes] = self.plan["environment"]
        if self.plan["names"] is None:
            return environment
        child = b"%d %s" % (job.index, self.plan["names"][job.index])
        return {**environment, os.fsencode(CHILD_VARIABLE): child}

    def outputs(self, job: Job) -> list[int]:
        """Where the child will write to, as descriptors to be closed here once it runs."""
        if self.plan["output"] == "inherit":
            return []
        if self.plan["output"] == "files":
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            return [os.open(path, flags, 0o666) for path in self.plan["files"][job.index]]
        ends: list[int] = []
        try:
            for number in (1, 2):
                read, write = os.pipe()
                ends.append(write)
                os.set_blocking(read, False)
                job.streams.append(self.stream(job, number, read))
        except OSError:
            for fd in [*ends, *(stream.fd for stream in job.streams)]:
                os.close(fd)
            job.streams.clear()
            raise
        for stream in job.streams:
            self.watch_stream(job, stream)
        return ends

    def stream(self, job: Job, number: int, fd: int) -> Stream:
        if self.plan["output"] == "lines":
            return LineStream(fd, self.spill, lambda data: self.say(("lines", job.index, number, data)))
        return Stream(fd, self.spill)

    def watch_stream(self, job: Job, stream: Stream) -> None:
        def on_output(fd: int, events: int) -> None:
            try:
                data = os.read(fd, READ_BYTES)
            except BlockingIOError:
                return
            if data:
                stream.take(data)
                return
            self.close(stream)
            self.finish_if_done(job)

        self.handlers[stream.fd] = on_output
        if not self.paused:
            self.poll.register(stream.fd, select.POLLIN)

    def close(self, stream: Stream) -> None:
        if stream.fd >= 0:
            del self.handlers[stream.fd]
            if not self.paused:
                self.poll.unregister(stream.fd)
            stream.end()

    def pause(self, wanted: bool) -> None:
        """Stop reading lines, or go on. (A hung-up pipe wakes a poll that asks it for nothing, too.)"""
        wanted = wanted and self.plan["output"] == "lines"
        if wanted != self.paused:
            self.paused = wanted
            for fd in [stream.fd for job in self.jobs.values() for stream in job.streams if stream.fd >= 0]:
                if wanted:
                    self.poll.unregister(fd)
                else:
                    self.poll.register(fd, select.POLLIN)

    # ---- the ends of children --------------------------------------------------------------------

    def reap(self) -> None:
        while self.children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            job = self.children.pop(pid)
            if job.stopped:
                # The rest of its group. No other group has its number yet: numbers are given out in turn.
                signal_group(pid, signal.SIGKILL)
            job.pid = None
            job.duration = time.monotonic() - job.began
            job.cpu = usage.ru_utime + usage.ru_stime
            job.returncode = os.waitstatus_to_exitcode(status)
            if not self.finish_if_done(job):
                self.at(LINGER_SECONDS, self.hang_up, job, job.attempts)

    def finish_if_done(self, job: Job) -> bool:
        if job.returncode is None or any(stream.fd >= 0 for stream in job.streams):
            return False
        del self.jobs[job.index]
        failed = job.returncode != 0 or job.timed_out
        if failed and job.attempts <= self.plan["retries"] and not self.halted:
            self.queue.append(job)
            return True
        self.say_result(job)
        if not self.halted:
            self.consider_halt(failed)
        return True

    def hang_up(self, job: Job, attempt: int) -> None:
        """Its outputs are held open by others than the child, which ended: take what is there, and go on."""
        if job.attempts != attempt or job.index not in self.jobs:
            return
        if self.paused:
            self.at(LINGER_SECONDS, self.hang_up, job, attempt)
            return
        for stream in job.streams:
            if stream.fd >= 0:
                try:  # noqa: SIM105 - contextlib takes its time to import
                    stream.take(os.read(stream.fd, READ_BYTES))
                except BlockingIOError:
                    pass
                self.close(stream)
        self.finish_if_done(job)

    def say_result(self, job: Job) -> None:
        facts = (job.returncode, job.started, job.duration, job.attempts, job.cpu, job.peak)
        flags = (job.timed_out, job.stopped and not job.timed_out)
        self.say(("result", job.index, facts, flags, [stream.kept() for stream in job.streams]))

    def consider_halt(self, failed: bool) -> None:
        self.counts["fail" if failed else "success"] += 1
        self.counts["done"] += 1
        when, why, number = self.plan["halt"]
        if when != "never" and self.counts[why] >= number:
            self.halted = True
            if when == "now":
                self.stop()

    # ---- stopping --------------------------------------------------------------------------------

    def stop(self) -> None:
        if not self.stopping:
            self.halted = self.stopping = True
            for job in list(self.jobs.values()):
                self.terminate(job)

    def time_out(self, job: Job, attempt: int) -> None:
        if job.attempts == attempt and job.pid is not None and not job.stopped:
            job.timed_out = True
            self.terminate(job)

    def terminate(self, job: Job) -> None:
        if job.pid is not None and not job.stopped:
            job.stopped = True
            signal_group(job.pid, signal.SIGTERM)
            self.at(GRACE_SECONDS, self.kill, job, job.attempts)

    def kill(self, job: Job, attempt: int) -> None:
        if job.attempts == attempt and job.pid is not None:
            signal_group(job.pid, signal.SIGKILL)

    # ---- timers ----------------------------------------------------------------------------------

    def at(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        self.timer_count += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.timer_count, action, arguments))

    def milliseconds(self) -> int | None:
        """Until the next timer. A timer of a job that is finished does nothing, but is waited for."""
        if not self.timers:
            return None
        return max(0, int((self.timers[0][0] - time.monotonic()) * 1000) + 1)

    def run_timers(self) -> None:
        while self.timers and self.timers[0][0] <= time.monotonic():
            _, _, action, arguments = heapq.heappop(self.timers)
            action(*arguments)

    def sample(self) -> None:
        began = time.monotonic()
        for pid, job in self.children.items():
            peak = peak_memory(pid)
            if peak:
                job.peak = max(peak, job.peak or 0)
        self.at(max(SAMPLE_SECONDS, SAMPLE_SHARE * (time.monotonic() - began)), self.sample)

    # ---- what it says ----------------------------------------------------------------------------

    def say(self, message: Any) -> None:
        if not self.parent_is_gone:
            self.outgoing += pack(message)

    def send(self) -> None:
        try:
            while self.outgoing:
                del self.outgoing[: os.write(self.channel, memoryview(self.outgoing)[:READ_BYTES])]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self.lose_parent()
        if self.channel in self.handlers:
            self.poll.modify(self.channel, select.POLLIN | (select.POLLOUT if self.outgoing else 0))


def main(channel: int, spill: int, parent: int) -> None:
    # They came through an exec, and must not go through another: a child would hold the channel open.
    os.set_inheritable(channel, False)
    os.set_inheritable(spill, False)
    supervisor = Supervisor(channel, spill, parent)
    try:
        supervisor.run()
    except OSError as error:
        # A full disk, say. The parent raises it.
        os.set_blocking(channel, True)
        supervisor.say(("error", error.errno, error.strerror, error.filename))
        supervisor.send()
