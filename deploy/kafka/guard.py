"""Runs one program and takes it along: when our standard input ends, or we do, it is ended too.

    python guard.py PROGRAM ARGUMENT...

Prints the program's process id.  Whoever starts the guard holds the other end of its standard input;
a parent that dies, in whatever way, lets go of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 15.0


def die_with_parent() -> None:
    """On Linux, have the kernel end this process when the guard is killed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end(program: subprocess.Popen[bytes]) -> None:
    """End the program, at first politely."""
    program.terminate()
    try:
        program.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


def main() -> int:
    """Run the program until it ends or we are to end it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Only the parent decides, by our standard input.  Not SIG_IGN: the program would inherit that.
        signal.signal(number, lambda *_: None)
    program = subprocess.Popen(  # noqa: S603  the command line is our caller's
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=die_with_parent,
        start_new_session=True,  # an interrupt at the terminal is for the parent alone
    )
    sys.stdout.write(f"{program.pid}\n")
    sys.stdout.flush()

    def watch() -> None:
        while os.read(0, 1024):
            pass
        end(program)

    threading.Thread(target=watch, daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main())
