/* SPDX-License-Identifier: MIT */
/* What the programs that strain the module share. */
#ifndef STRESS_H
#define STRESS_H

#include "../../kernel-module/uapi/hmm_dmirror.h"
#include "../../kernel-module/uapi/hmm_mirror.h"

#define PAGE 4096ULL
#define HUGE_PAGES (2ULL << 20)
/* Where the mirrored processes map and unmap, and what nearly all requests are about. */
#define ARENA (1ULL << 40)

#endif /* STRESS_H */
