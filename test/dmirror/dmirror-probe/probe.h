/* SPDX-License-Identifier: MIT */
/* What the cases of the probe share. */
#ifndef DMIRROR_PROBE_H
#define DMIRROR_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "../../../kernel-module/uapi/hmm_dmirror.h"

#define PAGE 4096UL

/* The command that ran last in this thread, with its out fields. */
extern __thread struct hmm_dmirror_cmd cmd;
extern const char *node;

void fail(const char *what);
void tell(const char *key, long value);
int open_node(void);
unsigned char *map(size_t pages, int protection, int flags);
unsigned char *map_filled(size_t pages, int first);
long filled(const unsigned char *memory, size_t pages, int first);
int command(int fd, unsigned long request, const void *address, const void *buffer, uint64_t pages);
void run(const char *name, int fd, unsigned long request, const void *address, const void *buffer, uint64_t pages);

/* access.c */
void case_arguments(void);
void case_progress(void);
void case_buffer(void);
void case_faults(void);
void case_snapshot(void);
void case_inherited(void);
void case_mapping(void);

/* memory.c */
void case_migrate(void);
void case_two(void);
void case_release(void);
void case_exclusive(void);

/* concurrency.c */
void case_storm(void);
void case_churn(void);

#endif /* DMIRROR_PROBE_H */
