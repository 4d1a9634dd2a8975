// SPDX-License-Identifier: MIT
/*
 * Throws ioctls at hmm_mirror.ko: arguments that make sense and arguments that do not, on several threads, while
 * the processes that are mirrored map, unmap, fork and die, files are closed under running requests, and the module is
 * unloaded and loaded again between rounds. What it asserts itself: nothing hangs, the module can always be
 * unloaded, and every request succeeds now and then (else nothing was tested). The kernel's log is for who boots it.
 *
 *	ioctl-fuzz --seconds N --seed S [--module FILE.ko [--arguments "a=1 b=2"]]
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

#define THREADS 3
#define PROCESSES 2
#define ROUND_SECONDS 6
/* A request waits for bounded things only; far beyond the sum of them on a slow machine. */
#define HANG_SECONDS 120

/* Of both ABIs: what a kernel cannot do is told by --without NAME,NAME. */
static const char *without = "HMM_MIRROR_BIND";

struct process {
	pthread_rwlock_t lock; /* written where the files are replaced */
	pid_t pid;
	int contexts[2];
};

static struct process processes[PROCESSES];
static volatile bool stopping;
static uint64_t seed = 1;
static unsigned int round_number;
static struct request_buffers buffers;
static const struct request_kind *volatile busy[THREADS];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "ioctl-fuzz: %s: %s (seed %llu, round %u)\n", what, strerror(errno), (unsigned long long)seed,
		round_number);
	exit(1);
}

/* What most requests are about: mirrors by two devices, and somebody who only listens. Their ids are 1, 2 and 3. */
static void insert_notifiers(int context, unsigned int first_device)
{
	unsigned int index;

	for (index = 0; index < 3; index++) {
		struct hmm_mirror_notifier_insert insert = {
			.start = ARENA,
			.length = ARENA_PAGES * PAGE,
			.flags = HMM_MIRROR_NOTIFIER_EVENTS | (index < 2 ? HMM_MIRROR_NOTIFIER_PAGE_TABLE : 0),
			.device = index < 2 ? first_device + index : HMM_MIRROR_NO_DEVICE,
			.timeout_ms = index < 2 ? 5 : 0,
		};

		/* A kernel without coherent devices has only the first two. */
		if (ioctl(context, HMM_MIRROR_NOTIFIER_INSERT, &insert) && errno == ENODEV) {
			insert.device = index;
			ioctl(context, HMM_MIRROR_NOTIFIER_INSERT, &insert);
		}
		if (!insert.id)
			fail("insert");
	}
}

static void start_process(struct process *process, uint64_t stream)
{
	unsigned int index;
	int ready[2];
	char name[32];

	for (index = 0; index < 2; index++) {
		snprintf(name, sizeof(name), "/dev/hmm_mirror%u", index * 2);
		process->contexts[index] = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		/* No coherent device here. */
		if (process->contexts[index] < 0 && errno == ENOENT)
			process->contexts[index] = open("/dev/hmm_mirror1", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (process->contexts[index] < 0)
			fail(name);
	}
	if (pipe(ready))
		fail("pipe");
	fflush(NULL);
	process->pid = fork();
	if (process->pid < 0)
		fail("fork");
	if (process->pid == 0) {
		close(ready[0]);
		mirrored_process(process->contexts, 2, seed * 1000 + stream, ready[1]);
	}
	close(ready[1]);
	/* The end of the file: it has bound itself, or has died. */
	if (read(ready[0], name, 1) != 0)
		fail("the mirrored process");
	close(ready[0]);
	insert_notifiers(process->contexts[0], 0);
	insert_notifiers(process->contexts[1], 2);
}

static void end_process(struct process *process)
{
	kill(process->pid, SIGKILL);
	close(process->contexts[0]);
	close(process->contexts[1]);
	waitpid(process->pid, NULL, 0);
}

/* Takes what events there are, and answers most of them. */
static void take_events(struct random *random, int fd)
{
	struct hmm_mirror_event events[32];
	ssize_t size = read(fd, events, sizeof(events));
	unsigned int index;

	for (index = 0; size > 0 && index < (size_t)size / sizeof(events[0]); index++) {
		union request_memory memory = { 0 };

		if (!events[index].ticket || random_chance(random, 20))
			continue;
		((struct hmm_mirror_ack *)memory.bytes)->ticket = events[index].ticket;
		request_issue(fd, &mirror_requests[ACK], &counts->mirror[ACK], &memory);
	}
}

static void *throw_requests(void *argument)
{
	unsigned int thread = (uintptr_t)argument, kind;
	union request_memory memory;
	struct random random;
	struct process *process;
	int fd;

	random_seed(&random, seed, round_number * THREADS + thread);
	while (!stopping) {
		process = &processes[random_below(&random, PROCESSES)];
		pthread_rwlock_rdlock(&process->lock);
		fd = dup(process->contexts[random_below(&random, 2)]);
		pthread_rwlock_unlock(&process->lock);
		/* A file of its own, so that who replaces the process need not wait for this request. */
		if (fd < 0)
			fail("dup");
		kind = random_below(&random, MIRROR_REQUESTS);
		/* A lock that is held keeps everybody else waiting, so it should be rare. */
		if (kind == LOCK && random_chance(&random, 80))
			kind = UNLOCK;
		mirror_request_make(&random, fd, kind, &buffers, &memory);
		busy[thread] = &mirror_requests[kind];
		/* BIND would expose this program. */
		if (mirror_requests[kind].command != HMM_MIRROR_BIND)
			request_issue(fd, &mirror_requests[kind], &counts->mirror[kind], &memory);
		busy[thread] = NULL;
		take_events(&random, fd);
		close(fd);
	}
	return NULL;
}

/* Locks that nobody gives back would make everybody wait for ever: here is who gives them back. */
static void unlock_all(void)
{
	struct hmm_mirror_notifier_id id = { 0 };
	unsigned int process, context;

	for (process = 0; process < PROCESSES; process++)
		for (context = 0; context < 2; context++)
			for (id.id = 1; id.id < 40; id.id++)
				ioctl(processes[process].contexts[context], HMM_MIRROR_UNLOCK, &id);
}

static void replace_process(struct random *random)
{
	struct process *process = &processes[random_below(random, PROCESSES)];
	struct process next = { 0 };

	start_process(&next, random_next(random));
	pthread_rwlock_wrlock(&process->lock);
	end_process(process);
	process->pid = next.pid;
	memcpy(process->contexts, next.contexts, sizeof(next.contexts));
	pthread_rwlock_unlock(&process->lock);
}

static void run_round(double until)
{
	pthread_t threads[THREADS];
	struct timespec deadline, pause = { .tv_nsec = 50 * 1000 * 1000 };
	struct random random;
	unsigned int index;

	random_seed(&random, seed, 1000000 + round_number);
	stopping = false;
	for (index = 0; index < PROCESSES; index++)
		start_process(&processes[index], random_next(&random));
	for (index = 0; index < THREADS; index++)
		if (pthread_create(&threads[index], NULL, throw_requests, (void *)(uintptr_t)index))
			fail("pthread_create");
	while (now() < until) {
		nanosleep(&pause, NULL);
		unlock_all();
		if (random_chance(&random, 10))
			replace_process(&random);
	}
	stopping = true;
	/* Half of the rounds end by their processes' death under the requests. */
	if (round_number % 2)
		for (index = 0; index < PROCESSES; index++)
			kill(processes[index].pid, SIGKILL);
	unlock_all();
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += HANG_SECONDS;
	for (index = 0; index < THREADS; index++) {
		struct timespec soon;
		int error;

		do {
			clock_gettime(CLOCK_REALTIME, &soon);
			soon.tv_sec += 1;
			error = pthread_timedjoin_np(threads[index], NULL, &soon);
			unlock_all();
		} while (error == ETIMEDOUT && soon.tv_sec < deadline.tv_sec);
		if (error) {
			errno = error;
			fail(busy[index] ? busy[index]->name : "a thread");
		}
	}
	for (index = 0; index < PROCESSES; index++)
		end_process(&processes[index]);
}

static void unload(void)
{
	double until = now() + HANG_SECONDS;
	struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	/* The last mmput of a process that was killed may still be on its way (mmput_async). */
	while (syscall(SYS_delete_module, "hmm_mirror", O_NONBLOCK)) {
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EBUSY)
			fail("delete_module");
		if (now() > until)
			fail("the module cannot be unloaded");
		nanosleep(&pause, NULL);
	}
}

static void load(const char *module, const char *arguments)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(module);
	if (syscall(SYS_finit_module, fd, arguments, 0))
		fail("finit_module");
	close(fd);
}

static void report(const char *name, const struct request_count *count, bool *weak)
{
	bool expected = !strstr(without, name);

	printf("%-32s %9lu made %9lu succeeded%s\n", name, count->made, count->succeeded,
	       expected ? "" : " (not on this kernel)");
	if (expected && count->made > 500 && !count->succeeded)
		*weak = true;
}

int main(int argc, char **argv)
{
	const char *module = NULL, *arguments = "";
	double end, seconds = 30;
	bool weak = false;
	unsigned int kind;
	int index;

	for (index = 1; index + 1 < argc; index += 2) {
		if (!strcmp(argv[index], "--seconds"))
			seconds = atof(argv[index + 1]);
		else if (!strcmp(argv[index], "--seed"))
			seed = strtoull(argv[index + 1], NULL, 0);
		else if (!strcmp(argv[index], "--module"))
			module = argv[index + 1];
		else if (!strcmp(argv[index], "--arguments"))
			arguments = argv[index + 1];
		else if (!strcmp(argv[index], "--without"))
			without = argv[index + 1];
		else
			index = argc;
	}
	if (index != argc) {
		fprintf(stderr, "usage: ioctl-fuzz [--seconds N] [--seed S] [--module FILE] [--arguments A] [--without NAMES]\n");
		return 2;
	}

	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	request_buffers_make(&buffers);
	for (index = 0; index < PROCESSES; index++)
		pthread_rwlock_init(&processes[index].lock, NULL);

	printf("seed %llu\n", (unsigned long long)seed);
	for (end = now() + seconds; now() < end; round_number++) {
		double until = now() + ROUND_SECONDS;

		run_round(until < end ? until : end);
		if (module) {
			unload();
			load(module, arguments);
		}
		printf("round %u done\n", round_number);
		fflush(stdout);
	}
	for (kind = 0; kind < MIRROR_REQUESTS; kind++)
		report(mirror_requests[kind].name, &counts->mirror[kind], &weak);
	for (kind = 0; kind < DMIRROR_REQUESTS; kind++)
		report(dmirror_requests[kind].name, &counts->dmirror[kind], &weak);
	if (weak)
		fprintf(stderr, "ioctl-fuzz: a request that never succeeds tests little\n");
	return weak;
}
