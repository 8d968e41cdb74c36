#!/bin/sh
# SPDX-License-Identifier: MIT
# Functions of the script that measures micro-benchmarks in one configuration, run by L0. Set before:
#   VMM         command that starts the benchmark guest, in L0 or in L1
#   L1          command that starts the guest hypervisor; empty in configuration vm
#   MODE, MODE_BOOT, MODE_FILE   what of the architecture virtual EL2 gets, then and while L1 boots
#   IMPLIED_EL2 parameter by which VMs have an EL2 that no VMM asks for; or empty
#   TIMER       "cycles" where the guest may try the cycle counter, which each level gives away
#   EVENT       the tracepoint of KVM's that sees exits
#   TRIGGER     what makes a histogram of it, where it does not see all of an exit; or empty
#   MORE        times as many operations are counted the second time by that
#   PROOF       a line that tells of the kernel of the level $level
# Whoever reads our output gets the guests' consoles as they are, and lines of ours: "@NEVE ...".
: "${VMM?} ${L1?} ${MODE?} ${MODE_BOOT?} ${MODE_FILE?} ${IMPLIED_EL2?} ${TIMER?} ${EVENT?}" \
	"${TRIGGER?} ${MORE?} ${PROOF?}"
tracing=/sys/kernel/tracing
trace=$tracing/instances/neve
event=$tracing/events/kvm/$EVENT
cycle_counter=/sys/module/kvm/parameters/cycle_counter	# v4.10's; the PMU is a guest's of today's
mode_before=$(cat "$MODE_FILE" 2>/dev/null)
pipes=$(mktemp -d)
# Kept small: what is in the way of none in L0's memory, and holds some 100,000 exits a CPU.
buffer_kib=8192

# Leave the host as it was.
restore() {
	[ -e "$MODE_FILE" ] && echo "$mode_before" >"$MODE_FILE"
	created
	rmdir $trace
	rm -r "$pipes"
} 2>/dev/null
trap restore EXIT

# What holds for a VM that is created while it is on.
create() {
	[ -n "$IMPLIED_EL2" ] && echo Y >"$IMPLIED_EL2"
	[ "$TIMER" = cycles ] && [ -e $cycle_counter ] && echo Y >$cycle_counter
}

created() {
	[ -n "$IMPLIED_EL2" ] && echo N >"$IMPLIED_EL2"
	[ -e $cycle_counter ] && echo N >$cycle_counter
}

fail() {
	echo "@NEVE failed $*"
	exit 1
}

# The answer of the benchmark guest, or of L1: the line that begins with $1 and one of the next words.
await() {
	while read -r line <&4; do
		line=$(echo "$line" | tr -d '\r')
		echo "$line"
		for word; do
			case $line in *"$word "* | *"$word") return 0 ;; esac
		done
	done
	wait "$vmm"
	fail "the guest ended: its VMM's status is $?"
}

say() {
	echo "$*" >&3
}

# On which CPUs of L0 the vCPUs of the guest in it may be: " 0=4 1=5".
where() {
	for task in "/proc/$vmm/task/"*; do
		read -r name <"$task/comm" || continue
		case $name in
		"CPU "*/*)
			name=${name#CPU }
			printf " %s=" "${name%/*}"
			sed -n 's/^Cpus_allowed_list:[^0-9]*//p' "$task/status" | tr -d '\n'
			;;
		esac
	done
}

vcpus() {
	echo "@NEVE vcpus$(where)"
}

# Each gets its own a moment after it is there.
settle() {
	for _ in $(seq 100); do
		case $(where) in *[-,]*) sleep 0.1 ;; *) return ;; esac
	done
}

begin() {
	mkfifo "$pipes/in" "$pipes/out"
	if [ -z "$TRIGGER" ]; then
		mkdir -p $trace 2>/dev/null
		echo 0 >$trace/tracing_on
		echo $buffer_kib >$trace/buffer_size_kb
	fi
	if [ -e "$MODE_FILE" ] && ! echo "$MODE_BOOT" >"$MODE_FILE"; then
		fail "virtual EL2 can't be $MODE_BOOT: $MODE_FILE does not take it"
	fi
	create
	eval "level=l0; $PROOF"
	sh -c "exec ${L1:-$VMM}" <"$pipes/in" >"$pipes/out" 2>&1 &
	vmm=$!
	exec 3>"$pipes/in" 4<"$pipes/out"
	if [ -n "$L1" ]; then
		await "@NEVE l1"
		created
		if [ "$TIMER" = cycles ]; then
			VMM="[ -e $cycle_counter ] && echo Y >$cycle_counter; exec $VMM"
		else
			VMM="exec $VMM"
		fi
		say "level=l1; $PROOF; $VMM"
	fi
	await "@MB ready"
	created
	if [ "$TIMER" = cycles ]; then
		say timer cycles
		await "@MB timer" "@MB error"
	fi
	settle
	if [ "$MODE" != "$MODE_BOOT" ] && ! echo "$MODE" >"$MODE_FILE"; then
		fail "virtual EL2 can't be $MODE: $MODE_FILE does not take it"
	fi
	echo "@NEVE begun"
}

# cell BENCHMARK ITERATIONS WARMUP OPERATIONS [TICKS]: what it costs, then what its operations trap.
# With TICKS, a sample is of so many operations that they take as long; as many that do nothing follow.
cell() {
	echo "@NEVE cell $1"
	vcpus
	batch=
	if [ -n "$5" ]; then
		say "batch $1 $5"
		await "@MB batch" "@MB error"
		batch=${line##* n=}
		batch=${batch%% *}
	fi
	say "run $1 $2 $3 $batch"
	await "@MB result" "@MB error"
	if [ -n "$batch" ]; then
		say "run empty $2 $3 $batch"
		await "@MB result" "@MB error"
	fi
	if [ -n "$TRIGGER" ]; then
		count "$1" "$4"
	else
		stream "$1" "$4"
	fi
	vcpus
}

packed() {
	gzip -1 | base64
	echo "@NEVE packed"
}

# Each exit, by the ring buffer.
stream() {
	echo >$trace/trace
	echo 1 >"$trace/events/kvm/$EVENT/enable"
	echo 1 >$trace/tracing_on
	say "repeat $1 $2"
	await "@MB done" "@MB error"
	echo 0 >$trace/tracing_on
	echo 0 >"$trace/events/kvm/$EVENT/enable"
	lost=$(cat $trace/per_cpu/cpu*/stats | sed -n 's/^\(overrun\|commit overrun\|dropped events\): //p' |
		tr '\n' + )
	echo "@NEVE trace lost=$((${lost}0))"
	grep -F " $EVENT: " $trace/trace | packed
}

# Exits so far, before and after two counts of operations.
count() {
	echo "$TRIGGER" >"$event/trigger"
	histogram
	for operations in "$2" $(($2 * MORE)); do
		say "repeat $1 $operations"
		await "@MB done" "@MB error"
		histogram
	done
	echo "!$TRIGGER" >"$event/trigger"
}

histogram() {
	echo "@NEVE histogram"
	packed <"$event/hist"
}

# Guests that power off by themselves take as long as they took to boot.
end() {
	kill "$vmm"
	wait
	echo "@NEVE end"
}
