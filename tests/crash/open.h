/* Makes `open` and `open64` of a preloaded library call `open_with(name, path, flags, mode)`, which it defines. */
#include <fcntl.h>
#include <stdarg.h>

static int open_with(const char *name, const char *path, int flags, mode_t mode);

#define OPENS_BY(name)                                    \
    int name(const char *path, int flags, ...)            \
    {                                                     \
        va_list rest;                                     \
        va_start(rest, flags);                            \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                     \
        return open_with(#name, path, flags, mode);       \
    }

OPENS_BY(open)
OPENS_BY(open64)
