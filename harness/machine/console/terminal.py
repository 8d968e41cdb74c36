# SPDX-License-Identifier: MIT
"""Connects a console with the user's terminal."""

import os
import select
import sys
import termios
import tty

from pexpect.exceptions import EOF, TIMEOUT

from harness.machine.console.console import Console

ESCAPE = b"\x1d"  # Ctrl-]


def hand_over(console: Console) -> None:
    """Connect this terminal with `console` until Ctrl-] or the console's end."""
    keyboard = sys.stdin.fileno()
    saved = termios.tcgetattr(keyboard)
    print("Ctrl-] leaves.", file=sys.stderr)
    console.send("\n")
    try:
        tty.setraw(keyboard)
        while True:
            ready, _, _ = select.select([keyboard], [], [], 0.02)
            if ready:
                typed = os.read(keyboard, 1024)
                if ESCAPE in typed:
                    return
                console.send(typed.decode(errors="replace"))
            try:
                sys.stdout.write(console.spawn.read_nonblocking(4096, timeout=0.02))
                sys.stdout.flush()
            except TIMEOUT:
                continue
            except EOF:
                return
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, saved)
        print(file=sys.stderr)
