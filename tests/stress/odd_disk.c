/* A file system that lacks something: preloaded into the program, it lets some calls fail always.

   ODD_DISK holds words: locks (their error number is in ODD_DISK_LOCKS), sync_folder (its error
   number in ODD_DISK_SYNC), sync_file, free (how much is free is not known: all zeros, or the
   error number in ODD_DISK_FREE), chmod, link, rename (no flags for it), fallocate, mmap, short (reads and writes of 1,000 bytes at
   most), nfs (a removed file stays as .nfsNUMBER until this process has
   closed it). If ODD_DISK_WAIT names a file, making a folder waits for it, a minute at most, and says
   so by the file of that name with .reached behind it. ODD_DISK_MEANWHILE is a shell command that
   is run once, just before two names are to be swapped. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int lacks(const char *what) {
  const char *all = getenv("ODD_DISK");
  return all && strstr(all, what);
}

static int number_of(const char *name, int otherwise) {
  const char *number = getenv(name);
  return number ? atoi(number) : otherwise;
}

static int fail(int number) { errno = number; return -1; }

static int is_folder(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

static int is_file(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

int mkdir(const char *path, mode_t mode) {
  const char *awaited = getenv("ODD_DISK_WAIT");
  if (awaited) {
    char reached[4096];
    snprintf(reached, sizeof reached, "%s.reached", awaited);
    close(open(reached, O_CREAT | O_WRONLY, 0600));
    for (int k = 0; access(awaited, F_OK) && k < 6000; k++) usleep(10000);
  }
  return REAL(mkdir)(path, mode);
}

int flock(int fd, int how) {
  return lacks("locks") ? fail(number_of("ODD_DISK_LOCKS", ENOSYS)) : REAL(flock)(fd, how);
}

#define CONTROL(name)                                                               \
  int name(int fd, int command, ...) {                                              \
    va_list rest;                                                                   \
    va_start(rest, command);                                                        \
    void *argument = va_arg(rest, void *);                                          \
    va_end(rest);                                                                   \
    int is_lock = command == F_SETLK || command == F_SETLKW ||                      \
                  command == F_OFD_SETLK || command == F_OFD_SETLKW;                \
    if (is_lock && lacks("locks")) return fail(number_of("ODD_DISK_LOCKS", ENOSYS)); \
    return REAL(name)(fd, command, argument);                                       \
  }
CONTROL(fcntl)
CONTROL(fcntl64)

#define SYNC(name)                                                                       \
  int name(int fd) {                                                                     \
    if (lacks("sync_folder") && is_folder(fd)) return fail(number_of("ODD_DISK_SYNC", EINVAL)); \
    if (lacks("sync_file") && is_file(fd)) return fail(EIO);                             \
    return REAL(name)(fd);                                                               \
  }
SYNC(fsync)
SYNC(fdatasync)

int chmod(const char *path, mode_t mode) {
  return lacks("chmod") ? fail(EPERM) : REAL(chmod)(path, mode);
}
int fchmod(int fd, mode_t mode) { return lacks("chmod") ? fail(EPERM) : REAL(fchmod)(fd, mode); }
int fchmodat(int folder, const char *path, mode_t mode, int flags) {
  return lacks("chmod") ? fail(EPERM) : REAL(fchmodat)(folder, path, mode, flags);
}

int link(const char *from, const char *to) {
  return lacks("link") ? fail(EPERM) : REAL(link)(from, to);
}
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
  return lacks("link") ? fail(EPERM) : REAL(linkat)(from_folder, from, to_folder, to, flags);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  const char *meanwhile = getenv("ODD_DISK_MEANWHILE");
  if (meanwhile && flags == 2) {
    char *command = strdup(meanwhile);
    unsetenv("ODD_DISK_MEANWHILE");
    unsetenv("LD_PRELOAD");
    if (system(command)) abort();
    free(command);
  }
  if (flags && lacks("rename")) return fail(EINVAL);
  return REAL(renameat2)(from_folder, from, to_folder, to, flags);
}

/* Whether this process has the file open. */
static int is_open(const struct stat *file) {
  int found = 0;
  struct stat status;
  DIR *all = opendir("/proc/self/fd");
  for (struct dirent *one; all && !found && (one = readdir(all));) {
    int fd = atoi(one->d_name);
    found = one->d_name[0] != '.' && fstat(fd, &status) == 0 && status.st_ino == file->st_ino &&
            status.st_dev == file->st_dev;
  }
  if (all) closedir(all);
  return found;
}

int unlinkat(int folder, const char *path, int flags) {
  struct stat status;
  if (lacks("nfs") && !(flags & AT_REMOVEDIR) &&
      fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
      is_open(&status)) {
    char kept[4096];
    const char *name = strrchr(path, '/');
    int n_above = name ? (int)(name + 1 - path) : 0;
    snprintf(kept, sizeof kept, "%.*s.nfs%024lx", n_above, path, (unsigned long)status.st_ino);
    return REAL(renameat)(folder, path, folder, kept);
  }
  return REAL(unlinkat)(folder, path, flags);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int close(int fd) {
  char place[64], path[4096];
  snprintf(place, sizeof place, "/proc/self/fd/%d", fd);
  ssize_t length = lacks("nfs") ? readlink(place, path, sizeof path - 1) : -1;
  struct stat status;
  int is_removed = length > 0 && fstat(fd, &status) == 0;
  int result = REAL(close)(fd);
  if (is_removed) {
    path[length] = 0;
    if (strstr(path, "/.nfs") && !is_open(&status)) REAL(unlink)(path);
  }
  return result;
}

#define FREE(name, type, status_of, ...)                                          \
  int name(type, struct status_of *status) {                                      \
    int result = REAL(name)(__VA_ARGS__, status);                                 \
    if (lacks("free") && getenv("ODD_DISK_FREE")) return fail(number_of("ODD_DISK_FREE", 0)); \
    if (lacks("free")) status->f_blocks = status->f_bfree = status->f_bavail = 0; \
    return result;                                                                \
  }
FREE(statvfs, const char *path, statvfs, path)
FREE(statvfs64, const char *path, statvfs64, path)
FREE(fstatvfs, int fd, statvfs, fd)
FREE(fstatvfs64, int fd, statvfs64, fd)

int posix_fallocate(int fd, off_t offset, off_t size) {
  return lacks("fallocate") ? EOPNOTSUPP : REAL(posix_fallocate)(fd, offset, size);
}
int posix_fallocate64(int fd, off64_t offset, off64_t size) {
  return lacks("fallocate") ? EOPNOTSUPP : REAL(posix_fallocate64)(fd, offset, size);
}

#define MAP(name, offset_type)                                                        \
  void *name(void *at, size_t size, int access, int flags, int fd, offset_type offset) { \
    if (lacks("mmap") && fd >= 0 && flags & MAP_SHARED && is_file(fd)) {              \
      errno = ENODEV;                                                                 \
      return MAP_FAILED;                                                              \
    }                                                                                 \
    return REAL(name)(at, size, access, flags, fd, offset);                           \
  }
MAP(mmap, off_t)
MAP(mmap64, off64_t)

static size_t part(int fd, size_t size) {
  return size > 1000 && lacks("short") && is_file(fd) ? 1000 : size;
}
ssize_t read(int fd, void *data, size_t size) { return REAL(read)(fd, data, part(fd, size)); }
ssize_t write(int fd, const void *data, size_t size) {
  return REAL(write)(fd, data, part(fd, size));
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) {
  return REAL(pread)(fd, data, part(fd, size), offset);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
  return REAL(pread64)(fd, data, part(fd, size), offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return REAL(pwrite)(fd, data, part(fd, size), offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  return REAL(pwrite64)(fd, data, part(fd, size), offset);
}
#define PIECES(name, offset_type, one)                                            \
  ssize_t name(int fd, const struct iovec *pieces, int count, offset_type offset) { \
    if (count && lacks("short") && is_file(fd))                                   \
      return one(fd, pieces[0].iov_base, pieces[0].iov_len, offset);              \
    return REAL(name)(fd, pieces, count, offset);                                 \
  }
PIECES(preadv, off_t, pread)
PIECES(preadv64, off64_t, pread64)
PIECES(pwritev, off_t, pwrite)
PIECES(pwritev64, off64_t, pwrite64)
