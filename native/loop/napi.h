// Node-API, in the one way this addon uses it: every status is looked at. Any call can fail at any moment, because the
// environment may be stopping (worker.terminate(), process.exit()); what it was to fill is then untouched.
//
// The compiler refuses a call whose status is dropped. scripts/check_native_calls.mjs refuses a variable of a Node-API
// type that begins without a value, and an inclusion of node_api.h other than this one.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"  // the few that return nothing
#define NAPI_EXTERN __attribute__((visibility("default"), warn_unused_result))
#include <node_api.h>
#pragma GCC diagnostic pop

namespace em {

// For a call whose failure leaves nothing to do: the environment that it was to tidy up is going anyway.
inline void best_effort(napi_status) {}

}  // namespace em
