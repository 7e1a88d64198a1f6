import { LimitError } from "../base/errors.js";
import { HANDLE_INDEX_MASK } from "./streams.js";

/** What opening throws when every index a handle can have is taken. */
export function tooManyHandles(): LimitError {
  const limit = HANDLE_INDEX_MASK + 1;
  return new LimitError("ERR_EM_TOO_MANY_HANDLES", `a reactor has at most ${limit} connections and listeners`, limit);
}
