// Included before every file of the prebuilt addon for glibc: it loads on releases from 2.28 on, although it is
// compiled against the packer's. scripts/prebuild checks the result.
#pragma once

#include <bits/c++config.h>

// pthread_cond_clockwait came with 2.30.
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK

// These moved from libpthread to libc, and got another version, with 2.32 and 2.34. The old versions are in both.
__asm__(".symver pthread_create, pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_sigmask, pthread_sigmask@GLIBC_2.2.5");
__asm__(".symver pthread_attr_setstacksize, pthread_attr_setstacksize@GLIBC_2.2.5");
