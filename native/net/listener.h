// Listening sockets: opening them, and accepting.
//
// Each newcomer costs one system call: it inherits its options from the listener, and its peer's address comes with it.
// Out of descriptors or memory, a listener leaves the poller, and comes back when one of our descriptors closes or 100
// ms have passed: newcomers wait in the kernel's queue, and nothing spins.
#pragma once

#include <memory>

#include "core/core.h"
#include "net/socket.h"
#include "net/socket_file.h"

namespace em {

struct ListenSettings {
  OptionList options;
  int32_t backlog = 0;
  bool reuse_port = false, ipv6_only = false, half_open = false, close_when_full = false;
  uint32_t accept_quota = 1;
  uint32_t max_connections = UINT32_MAX;
  uint32_t low_water = 0;
  const char* file = "";  // the absolute path of a Unix address that is one; empty for others
  int32_t mode = -1;      // of that file; -1 for what the umask leaves
};

struct Listener {
  ListenSettings settings;  // without the options and the file
  std::unique_ptr<SocketFile> file;
  uint32_t connections = 0;
  uint32_t attempts = 1;    // how many newcomers the next round asks for
  uint64_t last_batch = 0;  // in which it was ready
  bool full = false;
  bool backing_off = false;
  bool outlived = false;  // its `closed` was delivered, and connections it accepted are still there
};

// Each returns the handle, kNoHandle where there is none left. What fails is delivered as `closed`: also an address
// that could not be read, which has the length 0.
int32_t open_listener(Core& core, const Address& address, const ListenSettings& settings);
int32_t adopt_listener(Core& core, int fd, const ListenSettings& settings);

void close_listener(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall);
void delete_listener(Slot& slot);
// Connections name their listener by its handle: it stays taken until the last of them has left. Returns whether that
// is still to come.
bool outlive(Slot& slot);

void start_accepting(Core& core, Slot& slot);
void resume_accepting(Core& core, Slot& slot);
void accept_ready(Core& core, Slot& slot);
// A connection this listener accepted has closed.
void connection_left(Core& core, int32_t listener);

}  // namespace em
