/* A disk that fails when told: preloaded, it stands between a process and the C library.

   Calls that touch files below one directory are counted by kind, in shared memory that outlives the
   process; from the n-th of a kind on, so many of them fail, are short, are late, or kill.

   SHIM_DIRECTORY  only files below it count
   SHIM_COUNTS     a file of 64 bytes: four counts (write, sync, open, rename) and, as the fifth, when
                   the fault happened, in nanoseconds of CLOCK_MONOTONIC; all 64-bit
   SHIM_KIND       which kind the fault is for: 0 to 3 as above; unset: nothing but counting
   SHIM_FROM       the number of the first call that it happens to, 1 for the first
   SHIM_TIMES      to how many calls
   SHIM_HOW        errno:N, kill (before the call), half (kill in the middle of a write), short (write
                   half, and say so), late:MICROSECONDS

   All is read from the environment at the first call after it has been set, so that a process that
   was forked can be given its own. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum kind { WRITE, SYNC, OPEN, RENAME, KINDS };
enum how { NOTHING, ERRNO, KILL, HALF, SHORT, LATE };

#define FILES_MAX 4096

static volatile int configured;
static char directory[PATH_MAX];
static size_t directory_length;
static _Atomic uint64_t *counts;
static uint64_t discarded[8];
static int fault_kind = -1;
static uint64_t fault_from, fault_times;
static enum how fault_how;
static long fault_number;
static unsigned char watched[FILES_MAX];

static int configure(void) {
    if (configured) return 1;
    const char *where = getenv("SHIM_DIRECTORY");
    if (where == NULL) return 0;
    directory_length = strlen(where);
    memcpy(directory, where, directory_length + 1);
    counts = (_Atomic uint64_t *)discarded;
    const char *file = getenv("SHIM_COUNTS");
    if (file != NULL) {
        int (*plain_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        int handle = plain_open(file, O_RDWR | O_CLOEXEC);
        if (handle >= 0) {
            void *shared = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
            if (shared != MAP_FAILED) counts = shared;
        }
    }
    const char *kind = getenv("SHIM_KIND"), *how = getenv("SHIM_HOW");
    if (kind != NULL && how != NULL) {
        fault_kind = atoi(kind);
        fault_from = strtoull(getenv("SHIM_FROM"), NULL, 10);
        fault_times = strtoull(getenv("SHIM_TIMES"), NULL, 10);
        const char *number = strchr(how, ':');
        fault_number = number == NULL ? 0 : atol(number + 1);
        fault_how = !strncmp(how, "errno", 5) ? ERRNO
                  : !strncmp(how, "kill", 4)  ? KILL
                  : !strncmp(how, "half", 4)  ? HALF
                  : !strncmp(how, "short", 5) ? SHORT
                                              : LATE;
    }
    configured = 1;
    return 1;
}

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* Count a call; what is to happen to it. NOTHING, HALF and SHORT are the caller's to do. */
static enum how meet(enum kind kind) {
    uint64_t number = ++counts[kind];
    if ((int)kind != fault_kind || number < fault_from || number - fault_from >= fault_times)
        return NOTHING;
    if (number == fault_from) counts[4] = now();
    if (fault_how == KILL) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (fault_how == LATE) {
        struct timespec pause_for = {fault_number / 1000000, fault_number % 1000000 * 1000};
        nanosleep(&pause_for, NULL);
        return NOTHING;
    }
    if (fault_how == ERRNO) errno = (int)fault_number;
    return fault_how;
}

static int is_below(const char *path) {
    if (path[0] == '/')
        return !strncmp(path, directory, directory_length)
            && (path[directory_length] == '/' || path[directory_length] == 0);
    char here[PATH_MAX];
    if (getcwd(here, sizeof here) == NULL) return 0;
    size_t length = strlen(here);
    if (length + strlen(path) + 2 > sizeof here) return 0;
    here[length] = '/';
    strcpy(here + length + 1, path);
    return is_below(here);
}

static int is_watched(int handle) {
    return handle >= 0 && handle < FILES_MAX && watched[handle];
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPENER(name) \
    int name(const char *path, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        REAL(name); \
        int counts_here = configure() && is_below(path); \
        if (counts_here && meet(OPEN) == ERRNO) return -1; \
        int handle = real(path, flags, mode); \
        if (handle >= 0 && handle < FILES_MAX) watched[handle] = (unsigned char)counts_here; \
        return handle; \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name) \
    int name(int at, const char *path, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        REAL(name); \
        int counts_here = configure() && (path[0] == '/' || at == AT_FDCWD) && is_below(path); \
        if (counts_here && meet(OPEN) == ERRNO) return -1; \
        int handle = real(at, path, flags, mode); \
        if (handle >= 0 && handle < FILES_MAX) watched[handle] = (unsigned char)counts_here; \
        return handle; \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

int close(int handle) {
    REAL(close);
    if (handle >= 0 && handle < FILES_MAX) watched[handle] = 0;
    return real(handle);
}

/* Half of a write: really written, then killed or said. */
#define WRITER(result, name, parameters, all, half) \
    result name parameters { \
        REAL(name); \
        if (!configure() || !is_watched(handle)) return real all; \
        enum how how = meet(WRITE); \
        if (how == ERRNO) return -1; \
        if ((how == HALF || how == SHORT) && size > 1) { \
            result written = real half; \
            if (how == SHORT) return written; \
        } \
        if (how == HALF) { \
            kill(getpid(), SIGKILL); \
            for (;;) pause(); \
        } \
        return real all; \
    }
WRITER(ssize_t, write, (int handle, const void *data, size_t size), (handle, data, size),
       (handle, data, size / 2))
WRITER(ssize_t, pwrite, (int handle, const void *data, size_t size, off_t at),
       (handle, data, size, at), (handle, data, size / 2, at))
WRITER(ssize_t, pwrite64, (int handle, const void *data, size_t size, off64_t at),
       (handle, data, size, at), (handle, data, size / 2, at))

#define SYNCER(name) \
    int name(int handle) { \
        REAL(name); \
        if (configure() && is_watched(handle) && meet(SYNC) == ERRNO) return -1; \
        return real(handle); \
    }
SYNCER(fsync)
SYNCER(fdatasync)

int rename(const char *from, const char *to) {
    REAL(rename);
    if (configure() && is_below(to) && meet(RENAME) == ERRNO) return -1;
    return real(from, to);
}
