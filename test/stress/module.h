/* SPDX-License-Identifier: MIT */
/* The module under strain, loaded and unloaded by who strains it. */
#ifndef STRESS_MODULE_H
#define STRESS_MODULE_H

/* Reads the file once, so that loading it is a matter of memory alone. Ends the program if it cannot. */
void module_read(const char *file);
/* 0 or an errno. */
int module_load(const char *arguments);
/* 0 or an errno: one attempt. ENOENT: it is not loaded. EAGAIN: in use. */
int module_unload(void);

#endif /* STRESS_MODULE_H */
