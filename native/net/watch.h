// Watches: descriptors that somebody else reads, writes and closes, and whose readiness is all that is reported.
//
// Reports are level-triggered to the program, and one-shot to the poller: each is armed anew, by the descriptor's
// number, before it is passed on. So a descriptor that is closed under its watch is found out by that (EBADF, ENOENT),
// also where a duplicate keeps the file, and with it the registration, alive: the poller reports that one once at most.
// The kernel says nothing of a descriptor that is closed while nothing happens to it. Each watch is therefore looked at
// once a second.
#pragma once

#include <vector>

#include "core/core.h"

namespace em {

struct WatchCore {
  std::vector<int32_t> handles;  // also of watches that have ended since the last audit
  double audit_at = kNever;
};

// The handle of a watch on a descriptor that nobody here owns, for these bits of WatchFlag; or a negative errno:
// -EEXIST where a reactor owns it, -EPERM for a file that is always ready, -ENFILE where there is no handle left.
int32_t open_watch(Core& core, int fd, uint32_t flags);
// From here on nothing refers to the descriptor, which stays as it is.
void close_watch(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall);
// The same without an event.
void leave_watched(Core& core, Slot& slot);

// Commands, on a living slot. What fails ends the watch.
void set_watch_flags(Core& core, Slot& slot, uint32_t flags);

// Rounds.
void watch_ready(Core& core, Slot& slot, uint32_t interest);
// Ends the watches whose descriptors are gone.
void audit_watches(Core& core);

}  // namespace em
