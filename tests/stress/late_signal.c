/* A signal that comes at the worst moment: preloaded into the program, it sends the process that
   calls it the signal LATE_SIGNAL just before one system call, too late for Python to see.

   LATE_SIGNAL_AT names the call: read (of standard input) or waitpid. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void come(const char *call) {
  static int has_come;
  const char *at = getenv("LATE_SIGNAL_AT"), *number = getenv("LATE_SIGNAL");
  if (!has_come && at && number && strcmp(at, call) == 0) {
    has_come = 1;
    kill(getpid(), atoi(number));
  }
}

ssize_t read(int fd, void *buffer, size_t length) {
  if (fd == 0) come("read");
  return REAL(read)(fd, buffer, length);
}

pid_t waitpid(pid_t pid, int *status, int options) {
  come("waitpid");
  return REAL(waitpid)(pid, status, options);
}
