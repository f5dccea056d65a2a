/* Faults on purpose: preloaded into the program, it lets the k-th change of a folder go wrong.

   A change is any call that writes, cuts, syncs, renames, makes or removes something below the
   folder. Changes are counted in memory that forked processes share. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL_BEFORE, KILL_HALFWAY, NO_SPACE_FROM, ERROR_ONCE, LOSE_ONCE, CRASH_ON_READ };

#define LOST (-1)

static struct shared { long count; } *shared;
static int mode = -1;
static long fatal;
static char folder[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const char *crash = getenv("SHIM_CRASH_ON_READ");
  if (crash) { mode = CRASH_ON_READ; snprintf(folder, sizeof folder, "%s", crash); }
}

void shim_arm(int new_mode, long k, const char *below) {
  mode = new_mode;
  fatal = k;
  snprintf(folder, sizeof folder, "%s", below);
  shared->count = 0;
}

long shim_count(void) { return shared->count; }

static int is_below(const char *path) {
  /* The program is started in the folder. */
  return path && (path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0);
}

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return 1;
}

/* What is to become of a change: 0 let it be, LOST, else the error number; may not return. */
static int fate(int concerned, int is_write, void (*half)(void *), void *context) {
  if (mode < COUNT || mode == CRASH_ON_READ || !concerned) return 0;
  long count = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
  if (mode == NO_SPACE_FROM && count >= fatal && is_write) return ENOSPC;
  if (count != fatal) return 0;
  if (mode == ERROR_ONCE) return EIO;
  if (mode == LOSE_ONCE && is_write && half) return LOST;
  if (mode == KILL_HALFWAY && half) half(context);
  if (mode == KILL_BEFORE || mode == KILL_HALFWAY) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  return 0;
}

static int fd_concerned(int fd) {
  char path[PATH_MAX];
  struct stat status;
  return mode >= COUNT && fstat(fd, &status) == 0 && !S_ISCHR(status.st_mode) &&
         path_of(fd, path) && is_below(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define STOP_IF(concerned, is_write)                              \
  do {                                                            \
    int number = fate(concerned, is_write, NULL, NULL);           \
    if (number) { errno = number; return -1; }                    \
  } while (0)

struct piece { int fd; const void *data; size_t size; off_t offset; };

static void half_write(void *context) {
  struct piece *piece = context;
  if (piece->offset < 0) REAL(write)(piece->fd, piece->data, piece->size / 2);
  else REAL(pwrite64)(piece->fd, piece->data, piece->size / 2, piece->offset);
}

static int stop_write(int fd, const void *data, size_t size, off_t offset) {
  struct piece piece = {fd, data, size, offset};
  int number = fate(fd_concerned(fd), 1, half_write, &piece);
  if (number > 0) errno = number;
  return number;
}

/* A write that is lost says that it was made. */
#define WRITE(fd, size, offset, call)                     \
  do {                                                    \
    int number = stop_write(fd, data, size, offset);      \
    if (number == LOST) return size;                      \
    return number ? -1 : (call);                          \
  } while (0)

ssize_t write(int fd, const void *data, size_t size) {
  WRITE(fd, size, -1, REAL(write)(fd, data, size));
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  WRITE(fd, size, offset, REAL(pwrite64)(fd, data, size, offset));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  WRITE(fd, size, offset, REAL(pwrite)(fd, data, size, offset));
}
int fsync(int fd) { STOP_IF(fd_concerned(fd), 0); return REAL(fsync)(fd); }
int ftruncate(int fd, off_t size) { STOP_IF(fd_concerned(fd), 0); return REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) {
  STOP_IF(fd_concerned(fd), 0);
  return REAL(ftruncate64)(fd, size);
}
int rename(const char *from, const char *to) {
  STOP_IF(is_below(to), 0);
  return REAL(rename)(from, to);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  STOP_IF(is_below(to), 0);
  return REAL(renameat2)(from_folder, from, to_folder, to, flags);
}
#define OPENS(name)                                                        \
  int name(const char *path, int flags, ...) {                             \
    va_list rest;                                                          \
    va_start(rest, flags);                                                 \
    mode_t permissions = flags & O_CREAT ? va_arg(rest, mode_t) : 0;       \
    va_end(rest);                                                          \
    if (flags & O_CREAT) STOP_IF(is_below(path), 1);                       \
    return REAL(name)(path, flags, permissions);                           \
  }
OPENS(open)
OPENS(open64)
int mkdir(const char *path, mode_t permissions) {
  STOP_IF(is_below(path), 1);
  return REAL(mkdir)(path, permissions);
}
int unlink(const char *path) { STOP_IF(is_below(path), 0); return REAL(unlink)(path); }
int rmdir(const char *path) { STOP_IF(is_below(path), 0); return REAL(rmdir)(path); }

/* A decoder that crashes: reading the samples of a file of that name is fatal.
   Headers are read in smaller pieces. */
static void crash_on_read(int fd, size_t size) {
  char path[PATH_MAX];
  if (mode == CRASH_ON_READ && size > 4096 && path_of(fd, path)) {
    const char *name = strrchr(path, '/');
    if (name && strcmp(name + 1, folder) == 0) raise(SIGSEGV);
  }
}
ssize_t read(int fd, void *data, size_t size) {
  crash_on_read(fd, size);
  return REAL(read)(fd, data, size);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
  crash_on_read(fd, size);
  return REAL(pread64)(fd, data, size, offset);
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) {
  crash_on_read(fd, size);
  return REAL(pread)(fd, data, size, offset);
}
