// What the program sends under TLS, from its pieces and files to records: the queue `plain`, and sealing from it.
//
// Records are made only while nothing waits for the kernel, so that they are never far ahead of it; a sealed one goes
// to tls_wire.h. Any call may close the connection.
#pragma once

#include <memory>

#include "core/core.h"
#include "tls/tls_connection.h"

namespace em {

// Operations: see net/stream_ops.h.
void tls_flush(Core& core, Slot& slot, double stamp);
void tls_write(Core& core, Slot& slot, const uint8_t* data, size_t length);
void tls_append_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length);
bool tls_has_plain(const Slot& slot);
bool tls_wants_out(const Slot& slot);

// The worker has read: `size` is negative for an errno, 0 at the end of the file. Takes the bytes over.
void tls_file_read(Core& core, int32_t handle, std::unique_ptr<uint8_t[]> bytes, int64_t size);

}  // namespace em
