/* Records what one process does to the files below RECORDER_ROOT and what it sends to sockets.
 *
 *   LD_PRELOAD=recorder.so RECORDER_ROOT=/home/dir RECORDER_LOG=/elsewhere/log program
 *
 * Every call is made and noted under one lock, so the log has the order in which things happened.
 * A note of an fsync's end is written after it returned, all others after the call succeeded: who
 * is killed in between has done more than is noted, never less. `disk.py` reads the log.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 65536
struct note { uint8_t op; uint8_t pad[3]; int32_t fd; int64_t at; uint64_t size; };

typedef long (*calling)(long, ...);
static calling found;
static calling find(void) { return found = (calling)dlsym(RTLD_NEXT, "syscall"); }
#define raw (found ? found : find()) /* libc's own; ours is below */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sigset_t before; /* the signals that whoever has the lock blocks otherwise */
static char root[PATH_MAX];
static size_t root_length;
static int out = -1;
static pid_t owner;
static unsigned char watched[MOST];

/* Also called in a child of a process that had another environment. */
__attribute__((constructor)) void preloaded_begin(void) {
    const char *log = getenv("RECORDER_LOG"), *where = getenv("RECORDER_ROOT");
    if (!log || !where || !realpath(where, root)) return;
    root_length = strlen(root);
    owner = getpid();
    int made = raw(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    out = raw(SYS_fcntl, made, F_DUPFD_CLOEXEC, 1000);
    raw(SYS_close, made);
}

/* Libraries loaded "deep" (chDB is) would call libc's functions past ours. */
void *dlopen(const char *file, int mode) {
    static void *(*real)(const char *, int);
    if (!real) real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return real(file, mode & ~RTLD_DEEPBIND);
}

/* No signal's handler may run under the lock: event loops write to a socket in theirs. */
static void lock(void) {
    sigset_t all, own;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &own);
    pthread_mutex_lock(&mutex);
    before = own;
}
static void unlock(void) {
    sigset_t own = before;
    pthread_mutex_unlock(&mutex);
    pthread_sigmask(SIG_SETMASK, &own, 0);
}

static int recording(void) { return out >= 0 && getpid() == owner; }

static void note(uint8_t op, int fd, int64_t at, const void *data, size_t size) {
    struct note head = {op, {0}, fd, at, size};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, size}};
    int kept = errno;
    size_t total = sizeof head + size;
    if ((size_t)raw(SYS_writev, out, parts, 2) != total) abort(); /* a torn log proves nothing */
    errno = kept;
}

static int below(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int is_watched(int fd) { return fd >= 0 && fd < MOST && watched[fd] && recording(); }

/* The absolute path of a name relative to a folder; the folder's links are resolved, the name's
 * own is not. Returns 0 where it lies elsewhere. */
static int place(int folder, const char *path, char *full) {
    char joined[2 * PATH_MAX], *slash;
    if (path[0] == '/') {
        snprintf(joined, sizeof joined, "%s", path);
    } else {
        char link[64], base[PATH_MAX];
        ssize_t size;
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            if ((size = readlink(link, base, sizeof base - 1)) < 0) return 0;
            base[size] = 0;
        }
        snprintf(joined, sizeof joined, "%s/%s", base, path);
    }
    size_t length = strlen(joined);
    while (length > 1 && joined[length - 1] == '/') joined[--length] = 0;
    slash = strrchr(joined, '/');
    if (slash && slash != joined) {
        char name[PATH_MAX], parent[PATH_MAX];
        snprintf(name, sizeof name, "%s", slash + 1);
        *slash = 0;
        if (realpath(joined, parent)) snprintf(full, 2 * PATH_MAX, "%s/%s", parent, name);
        else snprintf(full, 2 * PATH_MAX, "%s/%s", joined, name);
    } else {
        snprintf(full, 2 * PATH_MAX, "%s", joined);
    }
    return below(full);
}

/* --- names ------------------------------------------------------------------------------------ */

static int opened(int fd, int flags) {
    char link[64], path[PATH_MAX];
    if (fd < 0 || fd >= MOST || !recording()) return fd;
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size > 0) {
        path[size] = 0;
        watched[fd] = below(path);
        if (watched[fd]) note('O', fd, flags, path, size);
    }
    errno = kept;
    return fd;
}

static int open_and_note(int folder, const char *path, int flags, mode_t mode) {
    lock();
    int fd = opened(raw(SYS_openat, folder, path, flags, mode), flags);
    unlock();
    return fd;
}

#define MODE(flags)                                                        \
    mode_t mode = 0;                                                       \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) {         \
        va_list more;                                                      \
        va_start(more, flags);                                             \
        mode = va_arg(more, mode_t);                                       \
        va_end(more);                                                      \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_and_note(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_and_note(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_and_note(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_and_note(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_and_note(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    if (fd == out && out >= 0) return 0;
    if (!is_watched(fd)) return raw(SYS_close, fd);
    lock();
    watched[fd] = 0;
    note('C', fd, 0, "", 0);
    int done = raw(SYS_close, fd);
    unlock();
    return done;
}

static long one_name(uint8_t op, int folder, const char *path, long number, long more) {
    char full[2 * PATH_MAX];
    if (!recording() || !place(folder, path, full)) return raw(number, folder, path, more);
    lock();
    long done = raw(number, folder, path, more);
    if (done == 0) note(op, -1, 0, full, strlen(full));
    unlock();
    return done;
}

int unlink(const char *path) { return one_name('U', AT_FDCWD, path, SYS_unlinkat, 0); }
int rmdir(const char *path) { return one_name('U', AT_FDCWD, path, SYS_unlinkat, AT_REMOVEDIR); }
int unlinkat(int folder, const char *path, int flags) {
    return one_name('U', folder, path, SYS_unlinkat, flags);
}
int remove(const char *path) {
    int done = unlink(path);
    return done && errno == EISDIR ? rmdir(path) : done;
}
int mkdir(const char *path, mode_t mode) { return one_name('M', AT_FDCWD, path, SYS_mkdirat, mode); }
int mkdirat(int folder, const char *path, mode_t mode) {
    return one_name('M', folder, path, SYS_mkdirat, mode);
}

static long two_names(uint8_t op, int from, const char *old, int to, const char *new, long number,
                      long flags) {
    char both[4 * PATH_MAX + 1], second[2 * PATH_MAX];
    int first = recording() && place(from, old, both), other = recording() && place(to, new, second);
    if (!first && !other) return raw(number, from, old, to, new, flags);
    lock();
    long done = raw(number, from, old, to, new, flags);
    if (done == 0) {
        size_t length = strlen(both) + 1;
        strcpy(both + length, second);
        note(op, -1, flags, both, length + strlen(second));
    }
    unlock();
    return done;
}

int rename(const char *old, const char *new) { return two_names('R', AT_FDCWD, old, AT_FDCWD, new, SYS_renameat2, 0); }
int renameat(int from, const char *old, int to, const char *new) { return two_names('R', from, old, to, new, SYS_renameat2, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return two_names('R', from, old, to, new, SYS_renameat2, flags);
}
int link(const char *old, const char *new) { return two_names('L', AT_FDCWD, old, AT_FDCWD, new, SYS_linkat, 0); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
    return two_names('L', from, old, to, new, SYS_linkat, flags);
}

/* ClickHouse renames by number. */
long syscall(long number, ...) {
    va_list more;
    long a[6];
    va_start(more, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(more, long);
    va_end(more);
    if (number == SYS_renameat2) return renameat2(a[0], (char *)a[1], a[2], (char *)a[3], a[4]);
    return raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- contents --------------------------------------------------------------------------------- */

static int64_t cursor(int fd) {
    int flags = fcntl(fd, F_GETFL);
    struct stat state;
    if (flags >= 0 && flags & O_APPEND && !fstat(fd, &state)) return state.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static int is_socket(int fd) {
    struct stat state;
    int kept = errno, yes = recording() && !fstat(fd, &state) && S_ISSOCK(state.st_mode);
    errno = kept;
    return yes;
}

ssize_t write(int fd, const void *data, size_t size) {
    int file = is_watched(fd);
    if (!file && !is_socket(fd)) return raw(SYS_write, fd, data, size);
    lock();
    int64_t at = file ? cursor(fd) : 0;
    if (!file) note('S', fd, 0, data, size); /* before it can arrive */
    ssize_t done = raw(SYS_write, fd, data, size);
    if (file && done > 0) note('W', fd, at, data, done);
    unlock();
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (!is_watched(fd)) return raw(SYS_pwrite64, fd, data, size, at);
    lock();
    ssize_t done = raw(SYS_pwrite64, fd, data, size, at);
    if (done > 0) note('W', fd, at, data, done);
    unlock();
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

static void *joined(const struct iovec *parts, int count, size_t *size) {
    *size = 0;
    for (int i = 0; i < count; i++) *size += parts[i].iov_len;
    char *all = malloc(*size + 1), *end = all;
    for (int i = 0; i < count; i++) {
        memcpy(end, parts[i].iov_base, parts[i].iov_len);
        end += parts[i].iov_len;
    }
    return all;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int file = is_watched(fd);
    if (!file && !is_socket(fd)) return raw(SYS_writev, fd, parts, count);
    size_t size;
    void *all = joined(parts, count, &size);
    ssize_t done = write(fd, all, size);
    free(all);
    return done;
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    if (is_socket(fd)) {
        lock();
        note('S', fd, 0, data, size);
        unlock();
    }
    return raw(SYS_sendto, fd, data, size, flags, 0, 0);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (is_socket(fd)) {
        size_t size;
        void *all = joined(message->msg_iov, message->msg_iovlen, &size);
        lock();
        note('S', fd, 0, all, size);
        unlock();
        free(all);
    }
    return raw(SYS_sendmsg, fd, message, flags);
}

int ftruncate64(int fd, off64_t size) {
    if (!is_watched(fd)) return raw(SYS_ftruncate, fd, size);
    lock();
    int done = raw(SYS_ftruncate, fd, size);
    if (!done) note('T', fd, size, "", 0);
    unlock();
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    if (is_watched(fd)) { errno = EOPNOTSUPP; return -1; } /* callers then write zeros */
    return raw(SYS_fallocate, fd, mode, at, size);
}
int fallocate(int fd, int mode, off_t at, off_t size) { return fallocate64(fd, mode, at, size); }
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    if (is_watched(fd)) return EOPNOTSUPP;
    return raw(SYS_fallocate, fd, 0, at, size) ? errno : 0;
}
int posix_fallocate(int fd, off_t at, off_t size) { return posix_fallocate64(fd, at, size); }

static int synced(int fd, long number) {
    if (!is_watched(fd)) return raw(number, fd);
    lock();
    note('F', fd, 0, "", 0); /* what came before this is covered */
    unlock();
    int done = raw(number, fd);
    lock();
    if (!done) note('f', fd, 0, "", 0);
    unlock();
    return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
