import { terminateInside } from "./terminate_inside.js";

terminateInside("streams", "a native call on streams");
