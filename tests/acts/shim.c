/* The library of tests/crash/shim.c, which also strikes at the calls that acts on files are made of.
 *
 * An event comes before and after each rename that refuses a taken name, link, symlink, mkdir and rmdir, and before
 * each line of a journal and when all but its end is written.
 */
#include "../crash/shim.c"

#define LINES_END 16

#define STRIKE(path, what, call)            \
    do {                                    \
        if (event("before-" what, path))    \
            return -1;                      \
        int result = call;                  \
        event("after-" what, path);         \
        return result;                      \
    } while (0)

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    int (*real)(int, const char *, int, const char *, unsigned) =
        (int (*)(int, const char *, int, const char *, unsigned))dlsym(RTLD_NEXT, "renameat2");
    if (!below_root(to))
        return real(from_dir, from, to_dir, to, flags);
    STRIKE(to, "rename", real(from_dir, from, to_dir, to, flags));
}

int link(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "link");
    if (!below_root(to))
        return real(from, to);
    STRIKE(to, "link", real(from, to));
}

int symlink(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "symlink");
    if (!below_root(to))
        return real(from, to);
    STRIKE(to, "symlink", real(from, to));
}

int mkdir(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t) = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir");
    if (!below_root(path))
        return real(path, mode);
    STRIKE(path, "mkdir", real(path, mode));
}

int rmdir(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "rmdir");
    if (!below_root(path))
        return real(path);
    STRIKE(path, "rmdir", real(path));
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t (*real)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    char path[PATH_MAX];
    size_t n;
    if (size <= LINES_END || !path_of(fd, path) || (n = strlen(path)) < 6 || strcmp(path + n - 6, ".jsonl"))
        return real(fd, data, size);
    if (event("before-line", path))
        return -1;
    ssize_t result = real(fd, data, size - LINES_END);
    event("after-line", path);
    return result;
}
