// What processes of others need of the system beside descriptors that are watched.
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "face/calls.h"

namespace em {

namespace {

// The C library of the oldest system that is built for knows neither.
constexpr auto kPidfd = static_cast<idtype_t>(3);

// openProcess(pid): a descriptor that can be read from when the process has exited, closed on exec; or a negative errno
napi_value open_process(napi_env env, napi_callback_info info) {
  Args args(env, info);
  int32_t pid = args.int32(0, 1);
  if (!args.ok()) return nothing();
  const auto fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  return integer(env, fd < 0 ? -errno : fd);
}

// processStatus(fd): how a process of that descriptor has exited, which stays its parent's to be told: the status, the
// signal that ended it plus 256, or a negative errno: ECHILD where it is no child of this process, or was waited for
napi_value process_status(napi_env env, napi_callback_info info) {
  Args args(env, info);
  int32_t fd = args.int32(0, 0);
  if (!args.ok()) return nothing();
  siginfo_t status = {};
  if (waitid(kPidfd, static_cast<id_t>(fd), &status, WEXITED | WNOHANG | WNOWAIT) < 0) return integer(env, -errno);
  if (status.si_pid == 0) return integer(env, -EAGAIN);
  return integer(env, status.si_code == CLD_EXITED ? status.si_status : 256 + status.si_status);
}

// openPipe(into): puts the ends of a pipe into a list of two, the one that is read from first, both closed on exec; 0
// or a negative errno
napi_value open_pipe(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const int32_t* into = nullptr;
  size_t count = args.int32_list(0, &into);
  int ends[2] = {};
  if (!args.ok()) return nothing();
  if (count != 2) return integer(env, -EINVAL);
  if (pipe2(ends, O_CLOEXEC) < 0) return integer(env, -errno);
  memcpy(const_cast<int32_t*>(into), ends, sizeof ends);
  return integer(env, 0);
}

// descriptorLimit(wanted): sets how many descriptors this process may have, unless `wanted` is 0, and raises the bound
// of that where it has to; how many it may have then, or a negative errno
napi_value descriptor_limit(napi_env env, napi_callback_info info) {
  Args args(env, info);
  int32_t wanted = args.int32(0, 0);
  if (!args.ok()) return nothing();
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return integer(env, -errno);
  if (wanted > 0) {
    limit.rlim_cur = static_cast<rlim_t>(wanted);
    if (limit.rlim_max < limit.rlim_cur) limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return integer(env, -errno);
  }
  return integer(env, static_cast<int32_t>(limit.rlim_cur < INT32_MAX ? limit.rlim_cur : INT32_MAX));
}

}  // namespace

void define_process_calls(Object& exports, Addon* addon) {
  static constexpr Call kCalls[] = {
      {"openProcess", open_process},
      {"processStatus", process_status},
      {"openPipe", open_pipe},
      {"descriptorLimit", descriptor_limit},
  };
  for (const Call& call : kCalls) define(exports, call, addon);
}

}  // namespace em
