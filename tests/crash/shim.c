/* Kills the process that loads it at its n-th sync, rename or SQLite commit, and remembers what was synced.
 *
 * Built and preloaded by harness.py:
 *   CRASH_ROOT    only files below this folder count
 *   CRASH_AT      the number of the event at which to die; 0 never
 *   CRASH_SHADOW  a folder that gets a copy of each file at its last successful sync, and of each synced
 *                 folder's list of names, by inode
 *   CRASH_LOG     a file that gets a line an event
 * An event comes before and after each fsync, fdatasync and rename, and before and after the write of a
 * commit frame to SQLite's write-ahead log.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long count;

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

static void event(const char *what, const char *path)
{
    pthread_mutex_lock(&mutex);
    long number = ++count;
    const char *log = getenv("CRASH_LOG"), *at = getenv("CRASH_AT");
    if (log) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        dprintf(fd, "%ld %s %s\n", number, what, path);
        close(fd);
    }
    if (at && atol(at) == number)
        kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&mutex);
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
    event("before-sync", path);
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
    event("before-rename", to);
    int result = real(from, to);
    event("after-rename", to);
    return result;
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

static ssize_t pwrite_with(const char *name, int fd, const void *data, size_t size, off64_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, name);
    char path[PATH_MAX];
    if (!commit_frame(fd, data, size, path))
        return real(fd, data, size, offset);
    event("before-commit", path);
    ssize_t result = real(fd, data, size, offset);
    event("after-commit", path);
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
