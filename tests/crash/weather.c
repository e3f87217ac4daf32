/* The surroundings of one process, turned by a test: its wall clock and the room on its disk.
 *
 *   LD_PRELOAD=weather.so WEATHER=/file WEATHER_ROOT=/home/dir program
 *
 * The file holds two int64: nanoseconds to add to the wall clock, and the state of the disk below
 * WEATHER_ROOT: 0 well, 1 full, 2 its writes fail though it has room, 3 fsyncs of its
 * files fail, 4 those of its folders, 5 it is read-only (as the kernel makes it after an error:
 * files that are open stay so). All libraries of the process see the same clock, the
 * database's too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct weather { volatile int64_t clock, disk; };
static struct weather calm, *weather = &calm;
static char root[PATH_MAX];

typedef long (*calling)(long, ...);
static calling found;
static calling find(void) { return found = (calling)dlsym(RTLD_NEXT, "syscall"); }
#define raw (found ? found : find())

/* Also called in a child of a process that had another environment. */
__attribute__((constructor)) void preloaded_begin(void) {
    const char *file = getenv("WEATHER"), *where = getenv("WEATHER_ROOT");
    if (!file || !where || !realpath(where, root)) return;
    int fd = raw(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
    void *map = mmap(0, sizeof *weather, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) weather = map;
    raw(SYS_close, fd);
}

/* Libraries loaded "deep" (chDB is) would call libc's functions past ours. */
void *dlopen(const char *file, int mode) {
    static void *(*real)(const char *, int);
    if (!real) real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return real(file, mode & ~RTLD_DEEPBIND);
}

/* --- the clock -------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, now);
    if (!done && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t total = now->tv_sec * 1000000000LL + now->tv_nsec + weather->clock;
        now->tv_sec = total / 1000000000LL;
        now->tv_nsec = total % 1000000000LL;
    }
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}

/* --- the disk --------------------------------------------------------------------------------- */

enum { WELL, FULL, FAILING, NO_SYNC, NO_NAMES, READ_ONLY };
#define REASON (weather->disk == FULL ? ENOSPC : weather->disk == READ_ONLY ? EROFS : EIO)

static int below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return !strncmp(path, root, strlen(root));
}

#define REFUSE(fd) \
    if ((weather->disk == FULL || weather->disk == FAILING || weather->disk == READ_ONLY) && below(fd)) { errno = REASON; return -1; }

static int unsynced(int fd) {
    struct stat state;
    if ((weather->disk != NO_SYNC && weather->disk != NO_NAMES) || !below(fd) || fstat(fd, &state)) return 0;
    return S_ISDIR(state.st_mode) == (weather->disk == NO_NAMES);
}
#define UNSYNC(fd) if (unsynced(fd)) { errno = EIO; return -1; }

ssize_t write(int fd, const void *data, size_t size) { REFUSE(fd) return raw(SYS_write, fd, data, size); }
ssize_t writev(int fd, const struct iovec *parts, int count) { REFUSE(fd) return raw(SYS_writev, fd, parts, count); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { REFUSE(fd) return raw(SYS_pwrite64, fd, data, size, at); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }
int fsync(int fd) { UNSYNC(fd) return raw(SYS_fsync, fd); }
int fdatasync(int fd) { UNSYNC(fd) return raw(SYS_fdatasync, fd); }
static int inside(const char *path) { return !strncmp(path, root, strlen(root)); }
int mkdir(const char *path, mode_t mode) {
    if ((weather->disk == FULL || weather->disk == READ_ONLY) && inside(path)) { errno = REASON; return -1; }
    return raw(SYS_mkdirat, AT_FDCWD, path, mode);
}

/* Names, which a full disk still lets go of. Python names whole paths here, and so does SQLite. */

#define LOCKED(path) if (weather->disk == READ_ONLY && inside(path)) { errno = EROFS; return -1; }

int unlink(const char *path) { LOCKED(path) return raw(SYS_unlinkat, AT_FDCWD, path, 0); }
int rename(const char *from, const char *to) { LOCKED(to) return raw(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if ((flags & O_ACCMODE) != O_RDONLY) { LOCKED(path) }
    return raw(SYS_openat, AT_FDCWD, path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return open64(path, flags, mode);
}

static int shrunk(int done, const char *path, struct statvfs *state) {
    if (!done && weather->disk == FULL && !strncmp(path, root, strlen(root))) state->f_bavail = state->f_bfree = 0;
    return done;
}
int statvfs64(const char *restrict path, struct statvfs64 *restrict state) {
    static int (*real)(const char *, struct statvfs64 *);
    if (!real) real = (int (*)(const char *, struct statvfs64 *))dlsym(RTLD_NEXT, "statvfs64");
    return shrunk(real(path, state), path, (struct statvfs *)state);
}
int statvfs(const char *restrict path, struct statvfs *restrict state) {
    return statvfs64(path, (struct statvfs64 *)state);
}
