# SPDX-License-Identifier: MIT
"""Text of a machine's console without a terminal's control characters."""

import re

# ECMA-48: control sequences (CSI), strings (OSC, DCS, APC, PM, SOS) up to their terminator, and
# other escape sequences.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
# What XML 1.0 can't contain, not even as a reference (production 2, Char).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str) -> str:
    """`text` without escape sequences; a control character left over is shown as `\\x07` is."""
    return _FORBIDDEN.sub(lambda found: f"\\x{ord(found[0]):02x}", _ESCAPES.sub("", text))
