# SPDX-License-Identifier: MIT
"""The programs of other packages that a run calls, and the Debian package that has each.

The Makefile installs these packages; a test compares the two.
"""

PROGRAMS = {
    "apt-get": "apt",
    "bc": "bc",
    "bison": "bison",
    "curl": "curl",
    "dpkg-deb": "dpkg",
    "flex": "flex",
    "make": "make",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "patch": "patch",
    "perl": "perl",
    "setpriv": "util-linux",
    "tar": "tar",
    "xz": "xz-utils",
}
COMPILERS = {"gcc": "gcc"}
# Where that is not the one for arm64.
CROSS_COMPILERS = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "aarch64-linux-gnu-ld": "binutils-aarch64-linux-gnu",
}
# Files that belong to no program: headers and libraries for the compilers, and Debian's keys.
FILES = ("libc6-dev", "debian-archive-keyring")
CROSS_FILES = ("libc6-dev-arm64-cross",)
# No Debian or Ubuntu is without them.
ESSENTIAL = ("apt", "dpkg", "tar")
