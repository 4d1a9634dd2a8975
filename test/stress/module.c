// SPDX-License-Identifier: MIT
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *image;
static unsigned long image_size;

void module_read(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0) {
		perror(file);
		exit(1);
	}
	image_size = (unsigned long)status.st_size;
	image = mmap(NULL, image_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (image == MAP_FAILED) {
		perror(file);
		exit(1);
	}
	close(fd);
}

int module_load(const char *arguments)
{
	return syscall(SYS_init_module, image, image_size, arguments) ? errno : 0;
}

int module_unload(void)
{
	return syscall(SYS_delete_module, "hmm_mirror", O_NONBLOCK) ? errno : 0;
}
