/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef READBACK_H
#define READBACK_H

#include "bare.h"

void leave(bool passed);

#endif
