/* SPDX-License-Identifier: MIT */
/*
 * The two bounds of a context's event queue, each with the race that it is for made to happen. Both checks mirror the
 * calling process itself, print what they found, and return whether it is right.
 */
#ifndef STRESS_QUEUE_H
#define STRESS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "../stress.h"

/* For what must come soon, in ms: longer than a machine that is translated and busy takes. */
#define PATIENCE 20000

/* Ends the program, with errno. */
_Noreturn void give_up(const char *what);

/* An open context that is bound to this process. */
int context_open(void);
uint32_t notifier_insert(int fd, uint64_t start, uint32_t flags, uint32_t timeout_ms);
/* An invalidation of one page, whose notifiers hear of it whether it was there or not. */
void invalidate(uint64_t page);
/* Ends the program if the file is not readable in time. */
void await_readable(int fd, const char *what);

/* read.c: one read() gives no more records than a queue holds, however many come meanwhile. */
bool check_read(void);
/* remove.c: a removal waits for invalidations that are under way, and not for those that come later. */
bool check_remove(void);

#endif /* STRESS_QUEUE_H */
