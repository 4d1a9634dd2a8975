/* SPDX-License-Identifier: MIT */
/* What makes the allocations of one request fail, one after the other, and the requests to which it is done. */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <stdbool.h>
#include <stdint.h>

#include "../stress.h"

/* Prints what, and errno, and ends the program. */
void fail(const char *what) __attribute__((noreturn));
/* Not under injection: error, an errno, is 0 or the end. */
void must(int error, const char *what);

/* Seconds. */
double now(void);

/* injection.c */

/*
 * Only what fails with the module on the call stack counts, be it in the kernel's own functions that the module calls:
 * the rest of a system call is not what is tested, and would take most of the time.
 */
void injection_configure(void);
/* The nth allocation, or copy from or to user memory, of this thread from now on fails. */
void injection_arm(unsigned long nth);
/* Ends that. True if it has failed. */
bool injection_disarm(void);

/* memory.c: the mirrored memory. */

/*
 * On both sides of a boundary of the mirror's chunks of 512 pages, so that what is allocated per chunk is allocated
 * twice; and few pages, as each is an allocation that is made to fail.
 */
#define FEW 6
/* For requests that need an array on the heap only for more pages than these. */
#define MANY 34
extern uint64_t memory_pages; /* FEW or MANY */
#define LENGTH (memory_pages * PAGE)
#define START (ARENA + HUGE_PAGES - LENGTH / 2)
/* The chunks that the memory lies in, whole: unmapped together, the mirror does not even keep their empty entries. */
#define SPAN (2 * HUGE_PAGES)

/* What the memory must hold. */
extern unsigned char memory_expected[MANY * PAGE];
/* New memory, of which nothing is there yet. Whatever was there before is unmapped. */
void memory_empty(void);
/* New memory, all of it there. */
void memory_fill(void);
/* Ends the program unless the memory holds what it must. */
void memory_verify(const char *step);

/* A request, made until none of its allocations is left that could be made to fail. */
struct step {
	const char *name;
	uint32_t device;      /* whose mirror it is about */
	uint64_t pages;       /* FEW or MANY */
	void (*reset)(void);  /* to the state that each attempt begins with */
	int (*run)(void);     /* under injection; 0 or an errno */
	int also;             /* an errno that this one may give, beside ENOMEM and EFAULT */
};

/* Each ends with a step without name. */
extern const struct step mirror_steps[];
extern const struct step dmirror_steps[];
extern uint32_t step_device; /* of the step that runs */
extern unsigned char *step_buffer; /* MANY pages */
void mirror_close(void);
void dmirror_close(void);

/* module-steps.c: loading the module, and unloading it. */
void run_module_steps(const char *arguments, unsigned long most);

#endif /* FAIL_NTH_H */
