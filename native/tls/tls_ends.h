// How TLS ends with its connection: by a close_notify where all was said, by an alert where something failed, and
// without a word where something was dropped.
//
// What fails closes the connection before it returns: whoever called looks at the slot's state.
#pragma once

#include "net/stream.h"
#include "tls/tls_connection.h"

namespace em {

// The slot is closed and has its descriptor still.
void tls_closing(Core& core, Slot& slot);
// The connection is to end without a word.
void tls_silence(Slot& slot);
// OpenSSL has failed: its error queue tells why, and is empty afterwards.
void tls_failed(Core& core, Slot& slot);
// The same for a reason of our own.
void tls_fail(Core& core, Slot& slot, TlsError code, std::string reason);

}  // namespace em
