// Included before every file of the prebuilt addon for musl: the headers of GCC's C++ library were configured for
// glibc.
#pragma once

// Asked about releases of glibc, and a name of its type, by the files that the C++ library has for glibc.
#define __GLIBC_PREREQ(major, minor) 0
#define __locale_t locale_t
// All of musl is one library: nothing has to be probed with weak references.
#define GTHREAD_USE_WEAK 0

#include <bits/c++config.h>
#include <sys/mman.h>

// musl does not have pthread_cond_clockwait.
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK

// Linux 5.14; the headers of musl 1.2.3 are older.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
