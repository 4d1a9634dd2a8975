// SPDX-License-Identifier: MIT
/* The conversation with the host over the control port. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

static int control = -1;

void power_off(void)
{
	sync();
	/*
	 * A restart, not a power-off: the latter needs ACPI, which some debug kernels are booted without. QEMU runs
	 * with -no-reboot, so both end it.
	 */
	reboot(RB_AUTOBOOT);
	_exit(1);
}

int open_port(unsigned int number, int flags)
{
	/* The driver makes the nodes from a work queue; a machine under load may take its time. */
	const struct timespec pause = { .tv_nsec = 1000000 };
	char path[32];

	snprintf(path, sizeof(path), "/dev/vport0p%u", number);
	for (int tries = 0; tries < 10000; tries++) {
		int fd = open(path, flags | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
			break;
		nanosleep(&pause, NULL);
	}
	return -1;
}

void control_open(void)
{
	control = open_port(1, O_RDWR);
	if (control < 0) {
		fprintf(stderr, "node-hmm: cannot open the control port: %s\n", strerror(errno));
		power_off();
	}
}

static void write_all(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(control, bytes, length);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			/* The host has gone: there is nobody left to work for. */
			power_off();
		}
		bytes += n;
		length -= (size_t)n;
	}
}

static void say(const char *prefix, const char *format, va_list arguments)
{
	char line[1024];
	int start = snprintf(line, sizeof(line), "%s", prefix);
	int length = vsnprintf(line + start, sizeof(line) - (size_t)start - 1, format, arguments);
	size_t end = (size_t)start + (size_t)length;

	if (end > sizeof(line) - 2)
		end = sizeof(line) - 2;
	line[end] = '\n';
	write_all(line, end + 1);
}

void control_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("", format, arguments);
	va_end(arguments);
}

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("failed ", format, arguments);
	va_end(arguments);
	/* The host ends the machine when it has read this; a host that does not must not find it spinning. */
	for (;;)
		pause();
}

static void list_add(struct list *list, char *item)
{
	list->items = realloc(list->items, (list->count + 2) * sizeof(*list->items));
	if (!list->items)
		fail("out of memory while reading the job");
	list->items[list->count++] = item;
	list->items[list->count] = NULL;
}

/* Reads more of the job; the buffer may move, so nobody keeps pointers into it until all is there. */
static void job_read_more(char **buffer, size_t *length, size_t *capacity)
{
	ssize_t n;

	if (*length == *capacity) {
		*capacity = *capacity ? *capacity * 2 : 65536;
		*buffer = realloc(*buffer, *capacity);
		if (!*buffer)
			fail("out of memory while reading the job");
	}
	do {
		n = read(control, *buffer + *length, *capacity - *length);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		power_off();
	*length += (size_t)n;
}

/* The job is a sequence of NUL-terminated strings, alternately key and value; the key "end" ends it. */
static const char job_end[] = "\0end\0";

void control_read_job(struct job *job)
{
	char *buffer = NULL, *key, *value;
	size_t length = 0, capacity = 0;

	memset(job, 0, sizeof(*job));
	job->parameters = "";
	job->cwd = "/";
	/* "end" has an empty value: the last bytes are NUL "end" NUL NUL, found nowhere else at an end. */
	while (length < sizeof(job_end) || memcmp(buffer + length - sizeof(job_end), job_end, sizeof(job_end)) != 0)
		job_read_more(&buffer, &length, &capacity);

	for (key = buffer; strcmp(key, "end") != 0; key = value + strlen(value) + 1) {
		value = key + strlen(key) + 1;
		if (strcmp(key, "module") == 0)
			job->module = value;
		else if (strcmp(key, "parameters") == 0)
			job->parameters = value;
		else if (strcmp(key, "cwd") == 0)
			job->cwd = value;
		else if (strcmp(key, "scratch") == 0)
			list_add(&job->scratch, value);
		else if (strcmp(key, "keep") == 0)
			list_add(&job->keep, value);
		else if (strcmp(key, "writable") == 0)
			list_add(&job->writable, value);
		else if (strcmp(key, "terminal") == 0)
			job->terminal = value;
		else if (strcmp(key, "terminal-error") == 0)
			job->terminal_error = 1;
		else if (strcmp(key, "input") == 0)
			job->input = 1;
		else if (strcmp(key, "env") == 0)
			list_add(&job->env, value);
		else if (strcmp(key, "arg") == 0)
			list_add(&job->argv, value);
		else
			fail("unknown key \"%s\" in the job", key);
	}
	if (job->argv.count == 0)
		fail("the job names no command");
	if (!job->env.items)
		list_add(&job->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

int control_descriptor(void)
{
	return control;
}

int control_read_line(char *line, size_t size)
{
	/* What has arrived and was not asked for yet. */
	static char pending[256];
	static size_t length;
	char *newline = memchr(pending, '\n', length);
	size_t end;

	if (!newline) {
		struct pollfd polled = { .fd = control, .events = POLLIN };
		ssize_t n;

		if (length == sizeof(pending))
			fail("the host said a line that has no end");
		if (poll(&polled, 1, 0) <= 0)
			return 0;
		n = read(control, pending + length, sizeof(pending) - length);
		if (n < 0 && errno == EINTR)
			return 0;
		if (n <= 0)
			power_off(); /* the host has gone */
		length += (size_t)n;
		newline = memchr(pending, '\n', length);
		if (!newline)
			return 0;
	}
	end = (size_t)(newline - pending);
	if (end >= size)
		fail("the host said a line that is too long");
	memcpy(line, pending, end);
	line[end] = '\0';
	length -= end + 1;
	memmove(pending, newline + 1, length);
	return 1;
}

void control_wait_drained(void)
{
	struct pollfd polled = { .fd = control, .events = POLLIN };
	char line[64];

	for (;;) {
		/* Others may have been on their way when the command ended. */
		while (control_read_line(line, sizeof(line)))
			if (strcmp(line, "drained") == 0)
				return;
		poll(&polled, 1, -1);
	}
}
