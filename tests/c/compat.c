/*
 * A true 32-bit program, for i386 (cc -m32) or for arm (armhf). Makes recvmmsg
 * calls by one of the numbers that its ABI has for them and writes the truth about
 * them to a file, one JSON object on one line for each call, in the shape of the
 * tracer's events (see tests/src/workload/truth.rs).
 * Usage: compat TRUTH time32|time64|socketcall
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(void *) == 4, "to be compiled for a 32-bit ABI");

#if defined(__i386__)
#define ABI "i386"
#elif defined(__ARM_EABI__)
#define ABI "arm"
#else
#error "the numbers of this ABI are not known"
#endif

enum { MESSAGES = 4, WAITING = 2 };

enum way {
	TIME32,
	TIME64,
#ifdef __i386__
	SOCKETCALL,
#endif
	WAYS
};

static const struct {
	const char *word, *event, *name;
	long nr;
	const char *tags;
} ways[] = {
#ifdef __i386__
	[TIME32] = { "time32", "recvmmsg_time32", "recvmmsg_time32", 337, "\"K\"" },
	[SOCKETCALL] = { "socketcall", "recvmmsg_time32", "socketcall", 102, "\"U\",\"TOCTOU\"" },
#else
	[TIME32] = { "time32", "recvmmsg_time32", "recvmmsg_time32", 365, "\"K\"" },
#endif
	[TIME64] = { "time64", "recvmmsg", "recvmmsg_time64", 417, "\"K\"" },
};

/*
 * recvmmsg's numbers in ABIs of the same machine, which mean something else in this
 * one: futimesat and set_thread_area on i386, semget and io_setup on arm. All fail
 * with a descriptor that is none.
 */
static const long others[] = { 299, 243 };

static FILE *truth;
static int receiver, sender;
static struct sockaddr_in to, from;
static struct mmsghdr msgs[MESSAGES];
static struct sockaddr_in names[MESSAGES];
static struct iovec iovecs[MESSAGES];
static char buffers[MESSAGES][64];

static void check(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static int bound(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check(fd >= 0, "socket");
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(bind(fd, (struct sockaddr *)addr, len) == 0, "bind");
	check(getsockname(fd, (struct sockaddr *)addr, &len) == 0, "getsockname");
	return fd;
}

/* Memory that the receiver's queue takes: SK_MEMINFO_RMEM_ALLOC. */
static uint32_t queued(void)
{
	uint32_t info[9] = { 0 };
	socklen_t len = sizeof(info);

	check(getsockopt(receiver, SOL_SOCKET, 55 /* SO_MEMINFO */, info, &len) == 0, "SO_MEMINFO");
	return info[0];
}

/* Sends, and waits until the datagram is there: a busy kernel delivers late. */
static void queue(int length)
{
	uint32_t before = queued();

	check(sendto(sender, buffers, length, 0, (struct sockaddr *)&to, sizeof(to)) == length,
	      "sendto");
	while (queued() <= before)
		usleep(200);
}

static long long wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long make(enum way way, int fd, void *timeout)
{
#ifdef __i386__
	if (way == SOCKETCALL) {
		uint32_t args[] = { fd, (uintptr_t)msgs, MESSAGES, MSG_DONTWAIT, (uintptr_t)timeout };

		return syscall(ways[way].nr, 19, args);
	}
#endif
	return syscall(ways[way].nr, fd, msgs, MESSAGES, MSG_DONTWAIT, timeout);
}

static void call(enum way way, int fd, int waiting, int with_timeout)
{
	int32_t short_timeout[2] = { 6, 123456789 };
	int64_t long_timeout[2] = { 6, 123456789 };
	void *timeout = way == TIME64 ? (void *)long_timeout : (void *)short_timeout;
	long long before, after;
	long ret;

	for (int i = 0; i < MESSAGES; i++) {
		iovecs[i] = (struct iovec){ buffers[i], sizeof(buffers[i]) };
		msgs[i] = (struct mmsghdr){ .msg_hdr = {
			.msg_name = &names[i],
			.msg_namelen = sizeof(names[i]),
			.msg_iov = &iovecs[i],
			.msg_iovlen = 1,
		} };
	}
	for (int i = 0; i < waiting; i++)
		queue(10 + i);
	if (!with_timeout)
		timeout = NULL;

	before = wall();
	ret = make(way, fd, timeout);
	if (ret < 0)
		ret = -errno;
	after = wall();

	fprintf(truth, "{\"event\":\"%s\",\"syscall\":{\"name\":\"%s\",\"nr\":%ld,\"abi\":\"" ABI "\"},",
		ways[way].event, ways[way].name, ways[way].nr);
	fprintf(truth, "\"time\":{\"min\":%lld,\"max\":%lld},", before, after);
	fprintf(truth, "\"process\":{\"pid\":%d,\"tid\":%d,\"ppid\":%d,\"comm\":\"%s\",\"uid\":%d,\"gid\":%d},",
		getpid(), getpid(), getppid(), program_invocation_short_name, getuid(), getgid());
	fprintf(truth, "\"args\":{\"sockfd\":{\"value\":%d,\"tags\":[%s]},", fd, ways[way].tags);
	fprintf(truth, "\"msgvec\":{\"value\":\"%#lx\",\"tags\":[\"U\",\"TOCTOU\"]},",
		(unsigned long)(uintptr_t)msgs);
	fprintf(truth, "\"vlen\":{\"value\":%d,\"tags\":[%s]},", MESSAGES, ways[way].tags);
	fprintf(truth, "\"flags\":{\"value\":64,\"names\":[\"MSG_DONTWAIT\"],\"tags\":[%s]},",
		ways[way].tags);
	if (!timeout) {
		fprintf(truth, "\"timeout\":{\"value\":null,\"requested\":{\"$absent\":true},"
			       "\"remaining\":{\"$absent\":true}}},");
	} else {
		fprintf(truth, "\"timeout\":{\"value\":\"%#lx\",\"requested\":{\"sec\":6,\"nsec\":123456789},",
			(unsigned long)(uintptr_t)timeout);
		if (ret <= 0)
			fprintf(truth, "\"remaining\":{\"$absent\":true}}},");
		else if (way == TIME64)
			fprintf(truth, "\"remaining\":{\"sec\":%lld,\"nsec\":%lld}}},",
				(long long)long_timeout[0], (long long)long_timeout[1]);
		else
			fprintf(truth, "\"remaining\":{\"sec\":%d,\"nsec\":%d}}},", short_timeout[0],
				short_timeout[1]);
	}
	fprintf(truth, "\"ret\":%ld,\"truncated\":null,\"findings\":[],\"missing\":{},", ret);
	if (ret < 0) {
		const char *name = ret == -EAGAIN ? "EAGAIN" : ret == -EBADF ? "EBADF" : "?";

		fprintf(truth, "\"error\":{\"name\":\"%s\",\"errno\":%ld},", name, -ret);
		fprintf(truth, "\"messages\":{\"$absent\":true}}\n");
		return;
	}
	fprintf(truth, "\"error\":null,\"messages\":[");
	for (int i = 0; i < ret; i++)
		fprintf(truth,
			"%s{\"len\":%d,\"name\":{\"family\":\"AF_INET\",\"ip\":\"127.0.0.1\",\"port\":%d},"
			"\"namelen\":{\"in\":%d,\"out\":16},\"flags\":{\"value\":0,\"names\":[]},"
			"\"control\":{\"len_in\":0,\"len_out\":0}}",
			i ? "," : "", 10 + i, ntohs(from.sin_port), (int)sizeof(names[i]));
	fprintf(truth, "]}\n");
	check(ret == waiting, "what was waiting was received");
}

int main(int argc, char **argv)
{
	enum way way = TIME32;

	check(argc == 3 && (truth = fopen(argv[1], "a")), "usage: compat TRUTH WAY");
	while (strcmp(argv[2], ways[way].word) != 0)
		check(++way < WAYS, "usage: compat TRUTH time32|time64|socketcall");
	receiver = bound(&to);
	sender = bound(&from);
	call(way, receiver, WAITING, 0);
	call(way, receiver, MESSAGES, 1);
	call(way, receiver, 0, 0);
	call(way, receiver, 0, 1);
	call(way, -1, 0, 1);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		check(syscall(others[i], -1, NULL, 0, 0, NULL) < 0, "another call was refused");
	return fclose(truth) == 0 ? 0 : 1;
}
