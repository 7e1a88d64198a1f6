import { terminateInside } from "./terminate_inside.js";

terminateInside("loop", "a native call on a loop, its memory, datagrams, pipes or watches");
