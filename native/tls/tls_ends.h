// How TLS ends with its connection: by a close_notify where all was said, by an alert where something failed, and
// without a word where something was dropped.
//
// What fails closes the connection before it returns: whoever called looks at the slot's state.
#pragma once

#include "core/core.h"
#include "tls/tls_connection.h"

namespace em {

// Operations: see net/stream_ops.h.
bool tls_may_settle(Core& core, Slot& slot);
bool tls_output_done(Core& core, Slot& slot);
bool tls_finish(Core& core, Slot& slot);
void tls_abort(Slot& slot);
void tls_closed(Core& core, Slot& slot);

// OpenSSL has failed: its error queue tells why, and is empty afterwards.
void tls_failed(Core& core, Slot& slot);
// The same for a reason of our own.
void tls_fail(Core& core, Slot& slot, TlsError code, std::string reason);

}  // namespace em
