/* A machine with trouble of its own, for the process that loads it: a wrong clock, no flock, a stop.
 *
 * Built and preloaded by test_concurrency.py:
 *   CLOCK_FILE   a file that holds the seconds by which the time of day is wrong; read at each call
 *   NO_FLOCK     set where the file system has no flock
 *   STOP_BELOW   only syncs of files below this folder count
 *   STOP_AT      the number of the sync before which the process stops itself, as by Ctrl-Z
 * Monotonic clocks are left alone, as they are by whoever sets a machine's time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long count;

static long offset(void)
{
    const char *path = getenv("CLOCK_FILE");
    char text[32] = "";
    int saved = errno, fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
    }
    errno = saved;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (!status && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return status;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int flock(int fd, int operation)
{
    if (getenv("NO_FLOCK")) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, operation);
}

static void before_sync(int fd)
{
    const char *root = getenv("STOP_BELOW"), *at = getenv("STOP_AT");
    char link[64], path[PATH_MAX];
    if (!root || !at)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return;
    path[n] = 0;
    if (!strncmp(path, root, strlen(root)) && __sync_add_and_fetch(&count, 1) == atol(at))
        kill(getpid(), SIGSTOP);
}

int fsync(int fd)
{
    before_sync(fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    before_sync(fd);
    return (int)syscall(SYS_fdatasync, fd);
}
