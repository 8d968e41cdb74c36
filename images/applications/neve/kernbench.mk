# SPDX-License-Identifier: MIT
# Compiles the first $(files) of /kernbench, the small ones first.
sources := $(wordlist 1,$(files),$(shell ls -Sr /kernbench/*.i))
options := $(shell cat /kernbench/options)

all: $(patsubst /kernbench/%.i,/tmp/%.o,$(sources))

/tmp/%.o: /kernbench/%.i
	gcc -fpreprocessed $(options) -c -o $@ $<
