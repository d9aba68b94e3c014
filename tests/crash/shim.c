/* Strikes the process that loads it at its n-th write, sync, rename or commit, and remembers what was synced.
 *
 * Built and preloaded by harness.py:
 *   CRASH_ROOT    only files below this folder count
 *   CRASH_AT      the number of the event at which to strike; 0 never
 *   CRASH_KIND    kill: this process dies; tree: its children and it; worker: its children only;
 *                 error:ERRNO or error:ERRNO:all: this call fails, or this and all later ones but deletions
 *   CRASH_SHADOW  a folder that gets a copy of each file at its last successful sync, and of each synced
 *                 folder's list of names, by inode
 *   CRASH_LOG     a file that gets a line an event: number, what, path, and whether anything was struck yet
 * An event comes before and after each fsync, fdatasync, rename, deletion and creation of a file, each write to
 * a segment (which is cut in half), and the write of a commit frame to SQLite's write-ahead log.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "open.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long count;
static int struck;

static int below_root(const char *path)
{
    const char *root = getenv("CRASH_ROOT");
    size_t n = root ? strlen(root) : 0;
    return root && !strncmp(path, root, n) && (path[n] == '/' || !path[n]);
}

static int path_of(int fd, char *out)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n < 0)
        return 0;
    out[n] = 0;
    return below_root(out);
}

static void kill_children(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    while (tasks && (task = readdir(tasks))) {
        char name[300];
        snprintf(name, sizeof name, "/proc/self/task/%s/children", task->d_name);
        FILE *file = fopen(name, "r");
        long pid;
        while (file && fscanf(file, "%ld", &pid) == 1) {
            kill((pid_t)pid, SIGKILL);
            struck = 1;
        }
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
}

/* Counts an event, strikes when it is its turn; whether the call has to fail, with errno set. */
static int event(const char *what, const char *path)
{
    int fails = 0;
    pthread_mutex_lock(&mutex);
    long number = ++count;
    const char *log = getenv("CRASH_LOG"), *at = getenv("CRASH_AT"), *kind = getenv("CRASH_KIND");
    long turn = at ? atol(at) : 0;
    int here = turn && number == turn, later = turn && number > turn;
    if (here && kind && !strcmp(kind, "worker"))
        kill_children();
    if (kind && !strncmp(kind, "error:", 6) && !strncmp(what, "before-", 7)) {
        const char *sticky = strrchr(kind, ':');
        fails = here || (later && !strcmp(sticky, ":all") && strcmp(what, "before-unlink"));
        if (fails) {
            errno = atoi(kind + 6);
            struck = 1;
        }
    }
    if (log) {
        int error = errno, fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        dprintf(fd, "%ld %s %s %d\n", number, what, path, struck);
        close(fd);
        errno = error;
    }
    if (here && kind && !strcmp(kind, "tree"))
        kill_children();
    if (here && kind && (!strcmp(kind, "tree") || !strcmp(kind, "kill")))
        kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&mutex);
    return fails;
}

static void keep_file(int fd, const struct stat *st, const char *shadow)
{
    char to[PATH_MAX], part[PATH_MAX + 8], buffer[65536];
    snprintf(to, sizeof to, "%s/file-%lu", shadow, (unsigned long)st->st_ino);
    snprintf(part, sizeof part, "%s.part", to);
    char from[64];
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    int in = open(from, O_RDONLY), out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t n;
    while ((n = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, n) != n)
            abort();
    close(in);
    close(out);
    ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(part, to);
}

static void keep_names(const char *path, const struct stat *st, const char *shadow)
{
    char to[PATH_MAX], part[PATH_MAX + 8];
    snprintf(to, sizeof to, "%s/dir-%lu", shadow, (unsigned long)st->st_ino);
    snprintf(part, sizeof part, "%s.part", to);
    FILE *out = fopen(part, "w");
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            fprintf(out, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
    if (dir)
        closedir(dir);
    fclose(out);
    ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(part, to);
}

static void keep(int fd, const char *path)
{
    const char *shadow = getenv("CRASH_SHADOW");
    struct stat st;
    if (!shadow || fstat(fd, &st))
        return;
    if (S_ISDIR(st.st_mode))
        keep_names(path, &st, shadow);
    else
        keep_file(fd, &st, shadow);
}

static int sync_with(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    char path[PATH_MAX];
    if (!path_of(fd, path))
        return real(fd);
    if (event("before-sync", path))
        return -1;
    int result = real(fd);
    if (!result)
        keep(fd, path);
    event("after-sync", path);
    return result;
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    if (!below_root(to))
        return real(from, to);
    if (event("before-rename", to))
        return -1;
    int result = real(from, to);
    event("after-rename", to);
    return result;
}

int unlink(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    if (!below_root(path) || access(path, F_OK))
        return real(path);
    if (event("before-unlink", path))
        return -1;
    int result = real(path);
    event("after-unlink", path);
    return result;
}

static int open_with(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    if (!(flags & O_CREAT) || !below_root(path) || !access(path, F_OK))
        return real(path, flags, mode);
    if (event("before-create", path))
        return -1;
    int fd = real(path, flags, mode);
    event("after-create", path);
    return fd;
}

/* A frame header of the write-ahead log is 24 bytes; its second word is the size of the database after a
 * commit, and 0 in every frame that commits nothing (https://www.sqlite.org/fileformat2.html#walformat). */
static int commit_frame(int fd, const void *data, size_t size, char *path)
{
    const unsigned char *head = data;
    if (size < 24 || size == 32 || !path_of(fd, path))
        return 0;
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, "-wal") && (head[4] | head[5] | head[6] | head[7]) && size == 24;
}

static int is_segment(int fd, char *path)
{
    if (!path_of(fd, path))
        return 0;
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".seg");
}

static ssize_t pwrite_with(const char *name, int fd, const void *data, size_t size, off64_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, name);
    char path[PATH_MAX];
    ssize_t result;
    if (commit_frame(fd, data, size, path)) {
        if (event("before-commit", path))
            return -1;
        result = real(fd, data, size, offset);
        event("after-commit", path);
    } else if (is_segment(fd, path)) {
        if (event("before-write", path))
            return -1;
        /* The writer has to go on with the rest by itself. */
        result = real(fd, data, size > 8192 ? size / 2 : size, offset);
        event("after-write", path);
    } else
        result = real(fd, data, size, offset);
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return pwrite_with("pwrite64", fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite_with("pwrite", fd, data, size, offset);
}
