#include "core/descriptors.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

namespace em {

namespace {

struct Identity {
  dev_t device;
  ino_t inode;
};

// What is looked at under the lock alone.
struct Records {
  std::unordered_map<uint32_t, Poller*> reactors;  // by number
  std::unordered_map<int, Identity> kept;
};

using Entry = std::atomic<uint64_t>;
static_assert(Entry::is_always_lock_free && sizeof(Entry) == sizeof(uint64_t));

constexpr uint32_t kBlockBits = 16;
constexpr size_t kBlocks = size_t{1} << (31 - kBlockBits);
constexpr size_t kBlockBytes = sizeof(Entry) << kBlockBits;

constinit std::mutex lock;
constinit Records* records = nullptr;
constinit uint32_t last_number = 0;
constinit std::atomic<Entry*> blocks[kBlocks] = {};

// Null where it is not there yet.
Entry* find(int fd) {
  if (fd < 0) return nullptr;
  Entry* block = blocks[static_cast<uint32_t>(fd) >> kBlockBits].load(std::memory_order_acquire);
  return block == nullptr ? nullptr : block + (fd & ((1 << kBlockBits) - 1));
}

// Pages of zeros, of which only those that are used cost anything. Null without memory.
Entry* make(int fd) {
  if (Entry* entry = find(fd); entry != nullptr || fd < 0) return entry;
  void* memory = mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  Entry* none = nullptr;
  auto& block = blocks[static_cast<uint32_t>(fd) >> kBlockBits];
  // Another thread may have been faster.
  if (!block.compare_exchange_strong(none, static_cast<Entry*>(memory))) munmap(memory, kBlockBytes);
  return find(fd);
}

bool identify(int fd, Identity* to) {
  struct stat status;
  if (fstat(fd, &status) < 0) return false;
  *to = {status.st_dev, status.st_ino};
  return true;
}

}  // namespace

Descriptors::Descriptors(Poller& poller) : poller_(poller) {
  std::lock_guard guard(lock);
  if (records == nullptr) records = new Records();
  do {
    number_ = ++last_number;
  } while (number_ == 0 || !records->reactors.emplace(number_, &poller).second);
}

Descriptors::~Descriptors() {
  std::lock_guard guard(lock);
  records->reactors.erase(number_);
  if (!records->reactors.empty()) return;
  delete records;
  records = nullptr;
  for (auto& block : blocks) {
    if (Entry* memory = block.exchange(nullptr); memory != nullptr) munmap(static_cast<void*>(memory), kBlockBytes);
  }
}

// Under the lock.
bool Descriptors::holds(uint64_t token, int fd) {
  auto owner = records->reactors.find(static_cast<uint32_t>(token >> 32));
  if (owner == records->reactors.end()) return false;
  if (token & kNew) return true;
  auto kept = records->kept.find(fd);
  if (kept == records->kept.end()) return owner->second->knows(fd);
  Identity now = {};
  return identify(fd, &now) && now.device == kept->second.device && now.inode == kept->second.inode;
}

bool Descriptors::enter(int fd, uint64_t token) {
  Entry* entry = make(fd);
  if (entry == nullptr) return false;
  uint64_t before = 0;
  if (entry->compare_exchange_strong(before, token)) return true;
  std::lock_guard guard(lock);
  before = entry->load();
  // An entry of this very reactor is stale: its thread has been given the number by the kernel just now. Its poller may
  // know the newcomer already, and cannot be asked.
  const bool ours = static_cast<uint32_t>(before >> 32) == number_;
  if (before != 0 && !ours && holds(before, fd)) return false;
  records->kept.erase(fd);
  entry->store(token);
  return true;
}

void Descriptors::polled(int fd, int32_t handle) {
  Entry* entry = find(fd);
  uint64_t before = token(handle) | kNew;
  if (entry != nullptr) entry->compare_exchange_strong(before, token(handle));
}

void Descriptors::keep(int fd, int32_t handle) {
  std::lock_guard guard(lock);
  Entry* entry = find(fd);
  Identity now = {};
  if (!owns(fd, handle) || !identify(fd, &now)) return;
  records->kept[fd] = now;
  entry->store(token(handle));
}

int Descriptors::claim(int fd, int32_t handle) {
  Entry* entry = make(fd);
  if (entry == nullptr) return fd < 0 ? -EBADF : -ENOMEM;
  std::lock_guard guard(lock);
  Identity now = {};
  if (!identify(fd, &now)) return -EBADF;
  uint64_t before = entry->load();
  do {
    if (before != 0 && holds(before, fd)) return -EEXIST;
  } while (!entry->compare_exchange_strong(before, token(handle)));
  records->kept[fd] = now;
  return 0;
}

void Descriptors::claim_polled(int fd, int32_t handle) {
  std::lock_guard guard(lock);
  if (owns(fd, handle)) records->kept.erase(fd);
}

bool Descriptors::owns(int fd, int32_t handle) {
  Entry* entry = find(fd);
  return entry != nullptr && (entry->load() & ~kNew) == token(handle);
}

void Descriptors::release(int fd, int32_t handle, bool kept) {
  Entry* entry = find(fd);
  if (entry == nullptr) return;
  uint64_t before = token(handle);
  if (!kept) {
    if (!entry->compare_exchange_strong(before, 0)) {
      before = token(handle) | kNew;
      entry->compare_exchange_strong(before, 0);
    }
    return;
  }
  std::lock_guard guard(lock);
  if (!owns(fd, handle)) return;
  records->kept.erase(fd);
  entry->store(0);
}

}  // namespace em
