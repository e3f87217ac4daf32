/* Lets the n-th file operation below a folder fail, as a disk would: for tests alone.
 *
 * Preloaded into a process (LD_PRELOAD), it stands between the program with its SQLite and libc.
 * Operations on other files, on sockets and on pipes pass untouched and are not counted.
 *
 *     fault_arm(folder, calls, nth, error, manner, times)    from now on; also by FAULT_* variables
 *     fault_fired()                                          what failed first, or ""
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, RENAME = 8, UNLINK = 16 };
enum { FAIL = 0, TORN = 1, SHORT = 2 };  /* nothing done; half done, then an error; half done */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static char fired[PATH_MAX + 64];
static int wanted, error, manner;
static long nth, times, seen;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void fault_arm(const char *path, int calls, long n, int code, int how, long count) {
    pthread_mutex_lock(&lock);
    snprintf(folder, sizeof folder, "%s", path);
    wanted = calls, nth = n, error = code, manner = how, times = count, seen = 0;
    fired[0] = 0;
    pthread_mutex_unlock(&lock);
}

const char *fault_fired(void) { return fired; }

__attribute__((constructor)) static void from_environment(void) {
    const char *path = getenv("FAULT_FOLDER");
    if (path)
        fault_arm(path, atoi(getenv("FAULT_CALLS")), atol(getenv("FAULT_NTH")),
                  atoi(getenv("FAULT_ERROR")), atoi(getenv("FAULT_MANNER")),
                  atol(getenv("FAULT_TIMES")));
}

/* Whether this operation is one that is to fail. */
static int due(int call, const char *name, const char *path) {
    int hit = 0;
    size_t length = strlen(folder);
    if (!(wanted & call) || strncmp(path, folder, length) || (path[length] && path[length] != '/'))
        return 0;
    pthread_mutex_lock(&lock);
    seen++;
    if (nth && seen >= nth && seen < nth + times) {
        hit = 1;
        if (!fired[0]) {
            const char *last = strrchr(path, '/');
            snprintf(fired, sizeof fired, "%s %s", name, last ? last + 1 : path);
        }
    }
    pthread_mutex_unlock(&lock);
    return hit;
}

static int due_of(int call, const char *name, int fd) {
    char link[64], path[PATH_MAX];
    ssize_t size;
    int before = errno, hit;
    if (!(wanted & call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size < 0) size = 0;
    path[size] = 0;
    hit = due(call, name, path);
    errno = before;
    return hit;
}

static ssize_t refuse(ssize_t done) {
    if (manner == SHORT) return done;
    errno = error;
    return -1;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!due_of(WRITE, "write", fd)) return REAL(write)(fd, data, size);
    return refuse(manner == FAIL ? 0 : REAL(write)(fd, data, size / 2));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (!due_of(WRITE, "pwrite", fd)) return REAL(pwrite64)(fd, data, size, at);
    return refuse(manner == FAIL ? 0 : REAL(pwrite64)(fd, data, size / 2, at));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return pwrite64(fd, data, size, at);
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t size) {
    if (!due_of(WRITE, "sendfile", out)) return REAL(sendfile64)(out, in, at, size);
    return refuse(manner == FAIL ? 0 : REAL(sendfile64)(out, in, at, size / 2));
}

int fsync(int fd) {
    return due_of(SYNC, "fsync", fd) ? (int)refuse(0) : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return due_of(SYNC, "fdatasync", fd) ? (int)refuse(0) : REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size) {
    return due_of(TRUNCATE, "ftruncate", fd) ? (int)refuse(0) : REAL(ftruncate64)(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int rename(const char *from, const char *to) {
    return due(RENAME, "rename", from) ? (int)refuse(0) : REAL(rename)(from, to);
}

int unlink(const char *path) {
    return due(UNLINK, "unlink", path) ? (int)refuse(0) : REAL(unlink)(path);
}
