import { UnsupportedError } from "../../base/errors.js";
import type { Capability } from "../capabilities.js";

export function unsupported(capability: Capability): UnsupportedError {
  return new UnsupportedError(capability, "portable");
}
