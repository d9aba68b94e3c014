/* Preloaded: opening a file whose name holds "slow" takes a minute, as on a disk that does not answer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "../crash/open.h"

static int open_with(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    if (strstr(path, "slow-photo"))
        sleep(60);
    return real(path, flags, mode);
}
