# SPDX-License-Identifier: GPL-2.0-only
# What the flat arm64 images have in common. A Makefile that includes this sets
# IMAGE, its name, and SOURCES, the objects of its own folder.
O ?= .
BARE := $(dir $(lastword $(MAKEFILE_LIST)))
CC := $(CROSS_COMPILE)gcc
OBJCOPY := $(CROSS_COMPILE)objcopy
CFLAGS := -O2 -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fpie -fno-stack-protector \
	  -mgeneral-regs-only -mstrict-align -march=armv8-a -fno-asynchronous-unwind-tables \
	  -I$(BARE) -I$(O)
LDFLAGS := -nostdlib -static-pie -Wl,--no-dynamic-linker -Wl,-T,$(BARE)image.lds \
	   -Wl,--build-id=none -Wl,-z,notext -Wl,-z,norelro
OBJS := $(addprefix $(O)/,start.o boot.o console.o fdt.o gic.o uart.o virtio.o $(SOURCES))
HEADERS := $(wildcard *.h $(BARE)*.h)
VPATH := $(BARE)

$(O)/$(IMAGE).bin: $(O)/$(IMAGE).elf
	$(OBJCOPY) -O binary $< $@

$(O)/$(IMAGE).elf: $(OBJS) $(BARE)image.lds
	$(CC) $(LDFLAGS) -o $@ $(OBJS)

$(O)/%.o: %.c $(HEADERS)
	$(CC) $(CFLAGS) -c -o $@ $<

$(O)/%.o: %.S $(HEADERS)
	$(CC) $(CFLAGS) -c -o $@ $<
