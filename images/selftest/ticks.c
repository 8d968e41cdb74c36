// SPDX-License-Identifier: GPL-2.0-only
/*
 * ticks:SECONDS     a timer of 50 Hz; each of its ticks is delivered, or counted as overrun.
 * sleeps:COUNT:US   sleeps never end early; by how much they are late.
 */
#include <signal.h>
#include "selftest.h"

#define PERIOD_US	20000l

bool ticks(uint64_t seconds, uint64_t unused, char *found)
{
	struct itimerspec period = { { 0, PERIOD_US * 1000 }, { 0, PERIOD_US * 1000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	int64_t start, elapsed, late = 0, count = 0, due = seconds * 1000000 / PERIOD_US;
	siginfo_t info;
	sigset_t set;
	timer_t timer;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	start = now_us();
	timer_settime(timer, 0, &period, NULL);
	while (count < due) {
		sigwaitinfo(&set, &info);
		count += 1 + timer_getoverrun(timer);
		elapsed = now_us() - start;
		if (elapsed - count * PERIOD_US > late)
			late = elapsed - count * PERIOD_US;
		if (elapsed < count * PERIOD_US)
			break;
	}
	elapsed = now_us() - start;
	found("ticks=%ld elapsed_us=%ld late_us=%ld", count, elapsed, late);
	/* all that were due have come, none before its time */
	return elapsed >= count * PERIOD_US && elapsed / PERIOD_US - count <= 1;
}

bool sleeps(uint64_t count, uint64_t microseconds, char *found)
{
	struct timespec span = { 0, microseconds * 1000 };
	int64_t early = 0, late = 0, total = 0;

	for (uint64_t i = 0; i < count; i++) {
		int64_t start = now_us(), over;

		nanosleep(&span, NULL);
		over = now_us() - start - (int64_t)microseconds;
		early += over < 0;
		late = over > late ? over : late;
		total += over;
	}
	found("early=%ld late_us=%ld mean_us=%ld", early, late, total / (int64_t)(count ? count : 1));
	return !early;
}
