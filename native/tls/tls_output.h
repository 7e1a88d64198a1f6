// What the program sends under TLS, from its pieces and files to records: the queue `plain`, and sealing from it.
//
// Records are made only while nothing waits for the kernel, so that they are never far ahead of it; a sealed one goes
// to tls_wire.h. Any call may close the connection.
#pragma once

#include <memory>

#include "net/stream.h"
#include "tls/tls_connection.h"

namespace em {

// Sends the pieces of this turn, and `data` behind them, behind all that waits; what the kernel does not take is
// queued.
void tls_pump(Core& core, Slot& slot, const uint8_t* data, size_t length, double stamp);
// The same where the slot's own queue has just been tried.
void tls_pump_on(Core& core, Slot& slot, const uint8_t* data, size_t length, double stamp);
void tls_send_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length);
bool tls_has_plain(const Slot& slot);
// Whether there is something to do when the kernel takes more, beyond the slot's own queue.
bool tls_wants_out(const Slot& slot);
// All of it is sent: says that there is no more, where that is asked. False while something is left.
bool tls_output_done(Core& core, Slot& slot);
// The worker has read: `size` is negative for an errno, 0 at the end of the file. Takes the bytes over.
void tls_file_read(Core& core, int32_t handle, std::unique_ptr<uint8_t[]> bytes, int64_t size);

}  // namespace em
