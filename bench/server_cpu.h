// The CPU time of the server's process, as the load generators read it: user and system time of all its threads, ended ones
// too, in nanoseconds.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) < 0) {
    fprintf(stderr, "load: clock_gettime: %s\n", strerror(errno));
    exit(1);
  }
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t server_cpu(pid_t pid) {
  static clockid_t clock;
  int status = clock ? 0 : clock_getcpuclockid(pid, &clock);
  if (status) {
    fprintf(stderr, "load: CPU clock of process %d: %s\n", (int)pid, strerror(status));
    exit(1);
  }
  return nanoseconds(clock);
}

// The last answer arrives before the server is back in its poll: wait until its clock stands still for 2 ms.
static uint64_t server_cpu_when_quiet(pid_t pid) {
  uint64_t last = server_cpu(pid);
  for (int i = 0; i < 100; i++) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    uint64_t now = server_cpu(pid);
    if (now == last) break;
    last = now;
  }
  return last;
}
